import AuditLedger
import FaceModel
import Foundation
import Replication
@testable import ShardEngine
import SimulatedDisk
import StorageIO
import Testing

enum LedgerSample {
    static let directory = "/data/ledger"
    static let recordKey = [UInt8](0..<32)
    static let settings = LedgerSettings(
        directory: directory, cluster: Bits128(high: 0, low: 7), signingKeyPath: "/keys/ledger-signing-key",
        recordKey: recordKey)

    static func intent(_ number: UInt64) throws -> SearchIntent {
        SearchIntent(
            search: search(number), time: Timestamp(milliseconds: 1_000), tenant: .embedded,
            accessKey: try #require(AccessKeyID("AKIDEXAMPLE00000")), person: "p", operation: "SearchFaces",
            purpose: "felony", caseNumber: "A-\(number)", authority: nil, source: nil,
            probeDigest: [UInt8](repeating: 3, count: 32), collections: ["a"], modelVersion: "1.0", modelDigest: [1],
            similarityAsked: 99, cosineAsked: nil, maxCandidates: 80)
    }

    static func result(_ number: UInt64) -> SearchResult {
        SearchResult(
            search: search(number), time: Timestamp(milliseconds: 1_005), tenant: .embedded, outcome: .answered,
            cosineApplied: 0.5, similarityApplied: 99, mode: "exhaustive", facesScored: 3, shardsAsked: 1,
            shardsAnswered: 1, expectedStrangers: 0.1,
            candidates: [.init(face: FaceID(Bits128(high: 1, low: number)), score: 0.75)])
    }

    /// A result with the longest list there can be.
    static func largeResult(_ number: UInt64) -> SearchResult {
        var result = result(number)
        result.candidates = (0..<UInt64(Limits.candidatesMax)).map {
            SearchResult.Candidate(face: FaceID(Bits128(high: 1, low: $0)), score: 0.5)
        }
        return result
    }

    static func search(_ number: UInt64) -> SearchID { SearchID(Bits128(high: 9, low: number)) }

    /// Intent and result of one search.
    @discardableResult
    static func append(_ number: UInt64, to ledger: LedgerReplica) async throws -> [UInt64] {
        [
            try await ledger.append(.intent(try intent(number))),
            try await ledger.append(.result(result(number))),
        ]
    }

    static func open(_ disk: SimulatedDisk) async -> LedgerReplica {
        let registers = LoneRegisters.of(disk)
        return await LedgerReplica.open(
            settings, on: disk,
            surroundings: ReplicaSurroundings(
                node: .embedded, incarnation: registers.raised(), registers: registers, post: NoPost()))
    }

    static func verify(_ disk: SimulatedDisk, key: [UInt8]? = recordKey) -> LedgerInspection.Report {
        LedgerInspection.verify(directory: directory, recordKey: key, on: disk)
    }
}

extension SimulatedDisk {
    /// A disk with the same files, everything durable, and registers as they are now.
    func copy() -> SimulatedDisk {
        let copy = SimulatedDisk()
        for path in paths {
            guard let slash = path.lastIndex(of: "/") else { continue }
            try? copy.createDirectory(String(path[..<slash]))
            copy.install(path, contents(path) ?? [])
        }
        LoneRegisters.take(over: self, by: copy)
        return copy
    }

    var logPaths: [String] { paths.filter { $0.hasPrefix(LedgerSample.directory + "/wal/") } }
}

extension LedgerReplica {
    private static var call: LedgerCall {
        LedgerCall(deadline: .now + .seconds(600), request: RequestID(Bits128(high: 0, low: 1)))
    }

    @discardableResult func append(_ entry: LedgerEntry) async throws(LedgerError) -> UInt64 {
        try await append(entry, Self.call)
    }

    func record(of search: SearchID, tenant: TenantID) async throws(LedgerError) -> SearchRecord? {
        try await record(of: search, tenant: tenant, Self.call)
    }

    func status() async throws(LedgerError) -> LedgerStatus { try await status(Self.call) }

    func standing() async throws(LedgerError) -> Standing { try await standing(Self.call) }

    func consistencyProof(from size: UInt64) async throws(LedgerError) -> [[UInt8]]? {
        try await consistencyProof(from: size, Self.call)
    }
}
