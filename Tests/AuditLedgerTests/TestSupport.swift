@testable import AuditLedger
import FaceModel
import Foundation
import Testing

/// testdata/ledger.txt, made by testdata/make_vectors.py.
func golden(_ name: String) throws -> [UInt8] {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("testdata/ledger.txt")
    let text = try String(contentsOf: url, encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + ": ") })
    return bytes(hex: String(line.dropFirst(name.count + 2)))
}

func bytes(hex: String) -> [UInt8] {
    let text = Array(hex.utf8)
    return stride(from: 0, to: text.count, by: 2).compactMap {
        UInt8(String(decoding: text[$0..<$0 + 2], as: UTF8.self), radix: 16)
    }
}

func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

/// Steele, Lea and Flood's SplitMix64.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

enum Sample {
    static let recordKey = [UInt8](0..<32)
    static let tenant = TenantID.embedded

    static func signer(_ name: String = "test-ledger", seed: UInt8 = 5) throws -> CheckpointSigner {
        try #require(CheckpointSigner(name: name, seed: [UInt8](repeating: seed, count: 32)))
    }

    static func intent(_ number: UInt64, caseNumber: String? = "A-17") throws -> SearchIntent {
        SearchIntent(
            search: SearchID(Bits128(high: 7, low: number)), time: Timestamp(milliseconds: Int64(number) * 1_000),
            tenant: tenant, accessKey: try #require(AccessKeyID("AKIDEXAMPLE00000")), person: "p\(number)",
            operation: "SearchFaces", purpose: "felony", caseNumber: caseNumber, authority: nil, source: nil,
            probeDigest: [UInt8](repeating: 3, count: 32), collections: ["a", "b"], modelVersion: "1.0",
            modelDigest: [1, 2], similarityAsked: 99, cosineAsked: nil, maxCandidates: 80)
    }

    static func result(_ number: UInt64, candidates: Int = 2) -> SearchResult {
        SearchResult(
            search: SearchID(Bits128(high: 7, low: number)), time: Timestamp(milliseconds: Int64(number) * 1_000 + 5),
            tenant: tenant, outcome: .answered, cosineApplied: 0.5, similarityApplied: 99, mode: "exhaustive",
            facesScored: 300, shardsAsked: 1, shardsAnswered: 1, expectedStrangers: 0.0003,
            candidates: (0..<candidates).map {
                .init(face: FaceID(Bits128(high: number, low: UInt64($0))), score: 1 - Float($0) / 8)
            })
    }

    static func order(_ act: StandingOrder.Act, _ number: UInt64, of tenant: TenantID = tenant) throws -> StandingOrder
    {
        StandingOrder(
            act, of: tenant, id: SearchID(Bits128(high: 8, low: number)),
            time: Timestamp(milliseconds: Int64(number) * 1_000),
            accessKey: AccessKeyID("AKIDOPERATOR0000"),
            person: "operator", reason: "misuse \(number)")
    }

    static func revocation(of key: String) throws -> StandingOrder {
        StandingOrder(
            .revoke(try #require(AccessKeyID(key))), of: tenant, id: SearchID(Bits128(high: 0, low: 0)),
            time: Timestamp(milliseconds: 7), accessKey: nil, person: nil, reason: "revoked in the registers")
    }

    /// Even numbers are intents, odd ones the results of the search before.
    static func entry(_ index: UInt64) throws -> LedgerEntry {
        index.isMultiple(of: 2) ? .intent(try intent(index / 2)) : .result(result(index / 2))
    }
}

/// The files of a ledger in memory, as a driver of `LedgerMachine` would keep them.
struct StoredLedger {
    var machine: LedgerMachine
    var files: [LedgerTile: [UInt8]] = [:]
    var logged: [LeafPayload] = []
    /// Signed notes in the log, with the number of leaves before each.
    var notes: [(after: Int, text: String)] = []
    private var generator = Seeded(state: 3)

    init() throws { machine = LedgerMachine(recordKey: Sample.recordKey, signer: try Sample.signer()) }

    /// Appends leaves one batch at a time and signs after each.
    mutating func append(_ count: Int, batch: Int = 2) throws {
        var left = count
        while left > 0 {
            let next = machine.committedSize
            let made = try (0..<UInt64(min(batch, left))).map { number in
                machine.leaf(of: try Sample.entry(next + number), behind: number, using: &generator)
            }
            for payload in made {
                guard machine.take(payload) == .taken else { preconditionFailure("leaves follow on each other") }
            }
            logged += made
            left -= made.count
            notes.append((logged.count, machine.checkpoint()))
        }
    }

    /// One entry more, a batch of its own.
    @discardableResult mutating func append(_ entry: LedgerEntry) -> LedgerMachine.Taking {
        let payload = machine.leaf(of: entry, behind: 0, using: &generator)
        let taking = machine.take(payload)
        guard taking == .taken else { return taking }
        logged.append(payload)
        notes.append((logged.count, machine.checkpoint()))
        return taking
    }

    /// Moves full bundles out of the log.
    mutating func flush() {
        while true {
            let tiles = machine.tilesToFlush()
            guard !tiles.isEmpty else { return }
            for (tile, bytes) in tiles { files[tile] = bytes }
            machine.flushed()
            logged.removeFirst(Int(LedgerTile.width))
            notes = notes.filter { $0.after > Int(LedgerTile.width) }
                .map { ($0.after - Int(LedgerTile.width), $0.text) }
        }
    }

    /// The first fault, as an inspection in the same order finds it.
    func fault(recordKey: [UInt8]? = Sample.recordKey, newest: String? = nil) throws -> LedgerFault? {
        var verifier = LedgerVerifier(verifierKey: machine.verifierKey, recordKey: recordKey)
        do throws(LedgerFault) {
            if let newest { try verifier.add(checkpoint: newest, source: "checkpoint") }
            var number: UInt64 = 0
            while let entries = files[.entries(number)] {
                let note = String(decoding: files[.checkpoint(number)] ?? [], as: UTF8.self)
                try verifier.add(checkpoint: note, source: "tile/checkpoint")
                try verifier.add(
                    bundle: number, entries: entries, privates: files[.privates(number)] ?? [],
                    hashes: files[.hashes(level: 0, number: number)] ?? [])
                number += 1
            }
            for (position, payload) in logged.enumerated() {
                try verifier.add(logged: payload)
                for note in notes where note.after == position + 1 {
                    try verifier.add(checkpoint: note.text, source: "log")
                }
            }
            try verifier.finish()
            return nil
        } catch {
            return error
        }
    }
}

extension LedgerFault {
    /// The leaf it names, or nil.
    var leaf: UInt64? {
        switch place {
        case .leaf(let index, _): index
        case .leaves(let range) where range.count == 1: range.lowerBound
        case .leaves, .file: nil
        }
    }
}
