import ClusterModel
import FaceModel
import Foundation
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// One bit of a closed shard's log, segments, manifest or memory turns: the shard says so, or it answers as it did. Every
/// search of deleted faces' own vectors must return none of them. `FACET_FLIPS` says how many bits, one at a time.
@Suite(.serialized) struct ShardRotTests {
    private static let flips = Int(ProcessInfo.processInfo.environment["FACET_FLIPS"] ?? "") ?? 2_000
    private static let (faces, deleted, living) = (4_200, 200, 4)
    private static let kinds = ["wal", "segments", "MANIFEST", "replica"]

    /// A shard's files, and what it answered when they were whole.
    private struct Specimen {
        let folder: String
        var files: [String: [UInt8]] = [:]
        /// Of what is flipped, by kind: files, and the bytes of each that were ever written.
        var targets: [String: [(name: String, bytes: Int)]] = [:]
        var answers: [[ShardCandidate]] = []
        var gone: Set<FaceID> = []
    }

    private struct Tally: CustomStringConvertible {
        var searches = 0
        var said: [String: Int] = [:]
        var unharmed: [String: Int] = [:]

        var description: String {
            let kinds = ShardRotTests.kinds.map { kind in
                "\(kind) said \(said[kind, default: 0]), did no harm \(unharmed[kind, default: 0])"
            }
            return "\(kinds.joined(separator: "; ")); \(searches) searches for deleted faces"
        }
    }

    private let root = NSTemporaryDirectory() + "facet-bits-\(ProcessInfo.processInfo.globallyUniqueString)"
    private let descriptor = ShardDescriptor(
        tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)),
        shard: ShardID(Bits128(high: 4, low: 4)), replica: ReplicaID(Bits128(high: 4, low: 4)), dimension: 64,
        modelVersion: "1.0", idKey: [UInt8](repeating: 5, count: 32), roots: [.root])

    @Test func aBitThatTurnsIsSaidOrDoesNoHarm() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let specimen = try await specimen()
        var random = SplitMix(state: 20_261_122)
        var tally = Tally()
        for turn in 0..<Self.flips {
            let kind = Self.kinds[turn % Self.kinds.count]
            let target = try #require(specimen.targets[kind]?.randomElement(using: &random))
            let offset = Int.random(in: 0..<target.bytes, using: &random)
            let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            try restore(specimen, flipping: target.name, at: offset, bit)
            do throws(ShardError) {
                let answers = try await answers()
                tally.searches += answers.count - Self.living
                tally.unharmed[kind, default: 0] += 1
                let isSame = answers == specimen.answers
                #expect(isSame, "byte \(offset) of \(target.name), bit \(bit)")
                let returned = answers.joined().contains { specimen.gone.contains($0.face.id) }
                #expect(!returned, "a deleted face after byte \(offset) of \(target.name), bit \(bit)")
            } catch {
                tally.said[kind, default: 0] += 1
                guard case .damaged = error else {
                    Issue.record("\(error) for byte \(offset) of \(target.name), bit \(bit)")
                    continue
                }
            }
        }
        FileHandle.standardError.write(Data("\(Self.flips) bits: \(tally)\n".utf8))
    }

    private func face(_ number: Int) -> NewFace { CopiesBench.faces(number..<number + 1)[0] }

    /// Faces in a segment and behind it in the log, some of both deleted.
    private func specimen() async throws -> Specimen {
        var specimen = Specimen(folder: "\(root)/\(descriptor.shard)")
        let node = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 1))
        let call = descriptor.call()
        try await node.open(descriptor, .making, call)
        var ids: [FaceID] = []
        for start in stride(from: 0, to: Self.faces, by: 600) {
            ids += try await node.enrol((start..<start + 600).map(face), call).faces
        }
        let gone = ids.prefix(Self.deleted / 2) + ids.suffix(Self.deleted / 2)
        _ = try await node.delete(Array(gone), token: .none, call)
        specimen.gone = Set(gone)
        await node.stop()
        specimen.answers = try await answers()
        for case let name as String in try #require(FileManager.default.enumerator(atPath: specimen.folder)) {
            guard let data = FileManager.default.contents(atPath: specimen.folder + "/" + name) else { continue }
            let bytes = [UInt8](data)
            specimen.files[name] = bytes
            let used = (bytes.lastIndex { $0 != 0 } ?? -1) + 1
            // Others are SQLite's, whose pages carry no checksums.
            let kind = Self.kinds.last { name.split(separator: "/").contains(Substring($0)) }
            if let kind, used > 0 { specimen.targets[kind, default: []].append((name, used)) }
        }
        for kind in Self.kinds { specimen.targets[kind]?.sort { $0.name < $1.name } }
        return specimen
    }

    private func restore(_ specimen: Specimen, flipping name: String, at offset: Int, _ bit: UInt8) throws {
        let manager = FileManager.default
        for case let found as String in try #require(manager.enumerator(atPath: specimen.folder)) {
            let path = specimen.folder + "/" + found
            var isFolder: ObjCBool = false
            if manager.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
                specimen.files[found] == nil
            {
                try manager.removeItem(atPath: path)
            }
        }
        for (file, bytes) in specimen.files {
            var bytes = bytes
            if file == name { bytes[offset] ^= bit }
            try Data(bytes).write(to: URL(fileURLWithPath: specimen.folder + "/" + file))
        }
    }

    /// Of searches with deleted faces' vectors, and some others', by a node that has just started.
    private func answers() async throws(ShardError) -> [[ShardCandidate]] {
        let node = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 1))
        let result = await Result { () async throws(ShardError) in
            let call = descriptor.call()
            try await node.open(descriptor, .existing, call)
            let half = Self.deleted / 2
            let probes = Array(0..<half) + Array(Self.faces - half..<Self.faces) + (0..<Self.living).map { 1_000 + $0 }
            var found: [[ShardCandidate]] = []
            for start in stride(from: 0, to: probes.count, by: Limits.searchesPerRequestMax) {
                let searches = probes.dropFirst(start).prefix(Limits.searchesPerRequestMax).map {
                    ShardSearch(query: face($0).vector, limit: 3, minScore: -1, sigmas: 6)
                }
                found += try await node.search(searches, call).map(\.candidates)
            }
            return found
        }
        await node.stop()
        return try result.get()
    }
}

extension Result where Failure == ShardError {
    fileprivate init(_ body: () async throws(ShardError) -> Success) async {
        do throws(ShardError) { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
