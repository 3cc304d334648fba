import ClusterModel
import FaceModel
import Foundation
import GRDB
import Replication
import SimulatedDisk
import StorageIO
import Testing
import VectorSearch
import WriteAheadLog

@testable import ShardEngine

/// Copies that have applied the same records have the same digest, and one that differs is found.
@Suite struct StateDigestTests {
    private static let dimension = 64

    /// A shard's state on a disk, removed at the end.
    private final class Bench {
        let path = NSTemporaryDirectory() + "facet-digest-\(ProcessInfo.processInfo.globallyUniqueString)"

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { _ = try? FileManager.default.removeItem(atPath: path) }

        func state(_ name: String, version: String? = nil) throws -> ShardState {
            try ShardState(path: "\(path)/\(name).sqlite", version: version)
        }
    }

    private static func vector(_ number: Int) throws -> RotatedVector {
        var values = [Float](repeating: 0, count: dimension)
        values[number % dimension] = 1
        return RotatedVector(rotated: values)
    }

    /// A history that a shard may have: enrolments, deletes, enrolments of what was deleted, a split and new roots.
    private func changes(_ count: Int, seed: UInt64) throws -> [Change] {
        var random = SplitMix(state: seed)
        var counts: [Int: UInt32] = [:]
        var living: [Int: FaceID] = [:]
        var changes: [Change] = []
        for place in 1...count {
            let number = Int.random(in: 0..<40, using: &random)
            let key = FaceKey(bytes: [UInt8](repeating: UInt8(number), count: 32))
            if place == count / 2 {
                let centroids = (try Self.vector(1), try Self.vector(2))
                let split = BucketSplit(parent: .root, children: (LeafID(256), LeafID(257)), centroids: centroids)
                changes.append(.split(split, at: LogIndex(UInt64(place))))
            } else if place == count / 3 {
                changes.append(.config(ConfigRecord(roots: [LeafID(5), .root])))
            } else if let id = living.removeValue(forKey: number) {
                counts[number, default: 0] += 1
                changes.append(
                    .delete(DeleteRecord(id: id, key: key, nextCount: counts[number] ?? 0, token: .none)))
            } else {
                let id = FaceID(.random(using: &random))
                living[number] = id
                changes.append(
                    .put(
                        PutRecord(
                            id: id, key: key, count: counts[number] ?? 0, leaf: LeafID(UInt32(number % 3)),
                            externalImageID: number.isMultiple(of: 2) ? ExternalImageID("n\(number)") : nil,
                            record: FaceRecord(imageID: nil, detail: nil), vector: try Self.vector(number),
                            token: .none)))
            }
        }
        return changes
    }

    @Test(arguments: 1...4) func isThatOfTheRowsInWhateverBatchesTheyCame(_ seed: UInt64) throws {
        let bench = try Bench()
        let changes = try changes(400, seed: seed)
        let one = try bench.state("one")
        let empty = try one.digest()
        #expect(empty == (try one.recount()))
        var random = SplitMix(state: seed + 100)
        var next = 0
        while next < changes.count {
            let end = min(changes.count, next + Int.random(in: 1...30, using: &random))
            try one.apply(Array(changes[next..<end]), through: LogIndex(UInt64(end)))
            let (kept, counted) = (try one.digest(), try one.recount())
            #expect(kept == counted)
            next = end
        }
        let other = try bench.state("other")
        try other.apply(changes, through: LogIndex(UInt64(changes.count)))
        let (first, second) = (try one.digest(), try other.digest())
        #expect(first == second && first != empty)
        #expect(StateDigest(bytes: first.bytes) == first)
        let reopened = try ShardState(path: one.path).digest()
        #expect(reopened == first)
    }

    @Test func aRecordThatSaysOtherwiseIsNotPassed() throws {
        let bench = try Bench()
        let changes = try changes(100, seed: 9)
        let (one, other) = (try bench.state("one"), try bench.state("other"))
        try one.apply(changes, through: LogIndex(100))
        let digest = try one.digest()
        // In the midst of a batch, and what follows does not count.
        try one.apply([.checkpoint(digest, at: LogIndex(101))], through: LogIndex(101))
        let without = Array(changes.dropLast()) + [.checkpoint(digest, at: LogIndex(101))]
        #expect(throws: ReplicaError.self) { try other.apply(without, through: LogIndex(101)) }
        let applied = try other.applied()
        #expect(applied == .zero)
        let payload = CheckpointRecord(digest: digest).payload
        #expect(try CheckpointRecord(payload: payload, at: .zero).digest == digest)
        for bad in [Array(payload.dropLast()), [2] + payload.dropFirst(), []] {
            #expect(throws: ReplicaError.self) { try CheckpointRecord(payload: bad, at: .zero) }
        }
    }

    /// A state from before counts what it holds when it is opened.
    @Test func aStateFromBeforeIsCounted() throws {
        let bench = try Bench()
        let new = try bench.state("new")
        let changes = try changes(60, seed: 4)
        try new.apply(changes, through: LogIndex(60))
        let old = try bench.state("old", version: "4")
        try copyRows(from: new, to: old)
        try old.close()
        let opened = try bench.state("old")
        let (one, other) = (try new.digest(), try opened.digest())
        #expect(one == other)
    }

    private func copyRows(from new: ShardState, to old: ShardState) throws {
        for table in ["face", "face_key", "bucket"] {
            let rows = try new.pool.read { try Row.fetchAll($0, sql: "SELECT * FROM \(table)") }
            try old.pool.write { database in
                for row in rows {
                    let marks = row.columnNames.map { _ in "?" }.joined(separator: ",")
                    try database.execute(
                        sql: "INSERT INTO \(table) VALUES (\(marks))", arguments: StatementArguments(row.databaseValues)
                    )
                }
            }
        }
        let roots = try new.pool.read { try String.fetchOne($0, sql: "SELECT roots FROM meta") }
        try old.pool.write { try $0.execute(sql: "UPDATE meta SET roots = ?", arguments: [roots]) }
    }

    // MARK: Copies

    private func checkpoints(_ bench: CopiesBench, _ number: Int) -> Int {
        var count = 0
        _ = try? Log.inspect(directory: bench.folder(number) + "/wal", on: POSIXFileSystem()) { record in
            if record.type == .checkpoint { count += 1 }
        }
        return count
    }

    private func enrol(_ range: Range<Int>, _ bench: CopiesBench) async throws -> [FaceID] {
        try await bench.ask { (node) throws(ShardError) in
            try await node.enrol(CopiesBench.faces(range), bench.call(.seconds(20)))
        }.faces
    }

    @Test func copiesCompareWhatTheyHold() async throws {
        let bench = try CopiesBench(checkpointDelay: .milliseconds(50))
        for number in 0..<3 { try await bench.open(number, .making) }
        for round in 0..<3 {
            let ids = try await enrol(round * 400..<(round + 1) * 400, bench)
            _ = try await bench.ask { (node) throws(ShardError) in
                try await node.delete(Array(ids.prefix(40)), token: .none, bench.call(.seconds(20)))
            }
            #expect(try await bench.eventually { (0..<3).allSatisfy { checkpoints(bench, $0) > round } })
            // Also behind another primary.
            if round == 1 {
                let reigning = bench.registers.state.configuration.primary
                let epoch = bench.registers.state.configuration.epoch
                try await bench.ask { (node) throws(ShardError) in try await node.retire(reigning, bench.call()) }
                #expect(try await bench.eventually { bench.registers.state.configuration.epoch > epoch })
            }
        }
        // What does not change is not compared again.
        let count = checkpoints(bench, 0)
        try await Task.sleep(for: .milliseconds(300))
        #expect(checkpoints(bench, 0) == count)
        #expect(bench.registers.state.configuration.isr.count == 3)
        await bench.stop()
    }

    private func differs(_ bench: CopiesBench, _ number: Int) async -> Bool {
        do {
            try await bench.open(number, .existing)
            return false
        } catch {
            guard case .damaged(_, let reason) = error as? ShardError else { return false }
            return reason.contains("not what the primary held")
        }
    }

    /// One that differs answers nothing, leaves those in sync, and is made anew; the others go on.
    @Test func aCopyThatDiffersIsFound() async throws {
        let bench = try CopiesBench(checkpointDelay: .milliseconds(50))
        for number in 0..<3 { try await bench.open(number, .making) }
        _ = try await enrol(0..<200, bench)
        #expect(try await bench.eventually { (0..<3).allSatisfy { checkpoints(bench, $0) > 0 } })
        let primary = Int(bench.registers.state.configuration.primary.bits.low)
        let victim = (primary + 1) % 3
        // As if it had applied something else.
        let database = try DatabaseQueue(path: bench.folder(victim) + "/state.sqlite")
        try await database.write { try $0.execute(sql: "UPDATE meta SET digest = x'00112233445566778899aabbccddeeff'") }
        try database.close()
        _ = try await enrol(200..<210, bench)
        #expect(try await bench.eventually { await differs(bench, victim) })
        let replica = CopiesBench.replica(victim)
        #expect(try await bench.eventually { !bench.registers.state.configuration.isr.contains(replica) })
        _ = try await enrol(210..<220, bench)
        let page = try await bench.ask { (node) throws(ShardError) in
            try await node.list(after: nil, limit: 4_000, bench.call(.seconds(20)))
        }
        #expect(page.faces.count == 220)
        await bench.stop()
    }
}
