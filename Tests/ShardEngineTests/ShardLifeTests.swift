import ClusterModel
import FaceModel
import Foundation
import StorageIO
import Synchronization
import Testing
import WriteAheadLog

@testable import ShardEngine

/// How shards come, what they own, and how they go.
@Suite struct ShardLifeTests {
    private static let dimension = 64

    private let root = NSTemporaryDirectory() + "facet-life-\(ProcessInfo.processInfo.globallyUniqueString)"

    private func descriptor(roots: [LeafID] = [LeafID(3)], dimension: Int = Self.dimension) -> ShardDescriptor {
        ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)),
            shard: ShardID(Bits128(high: 2, low: 2)), replica: ReplicaID(Bits128(high: 2, low: 2)),
            dimension: dimension, modelVersion: "1.0",
            idKey: [UInt8](repeating: 5, count: 32), roots: roots)
    }

    private func node(capacityBytes: Int = 0) -> ShardNode {
        ShardNode(
            directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 1), capacityBytes: capacityBytes)
    }

    private func face(_ number: Int) -> NewFace {
        var values = [Float](repeating: 0, count: Self.dimension)
        values[number % Self.dimension] = 1
        return NewFace(
            vector: RotatedVector(rotated: values), externalImageID: ExternalImageID("f\(number)"),
            record: FaceRecord(imageID: nil, detail: nil), token: .none)
    }

    @Test func aShardKeepsItsRootsOverRestartsAndDeniesOthers() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let owner = descriptor()
        var wrong = owner.call()
        wrong.roots = [.root]
        for life in 0..<3 {
            let node = node()
            try await node.open(owner, life == 0 ? .making : .existing, owner.call())
            _ = try await node.enrol([face(life)], owner.call())
            #expect(try await node.statistics(owner.call()).faces == life + 1)
            let denial = ShardError.wrongOwner(owner.shard, owned: [LeafID(3)])
            await #expect(throws: denial) { try await node.enrol([face(9)], wrong) }
            await #expect(throws: denial) { try await node.statistics(wrong) }
            await #expect(throws: denial) { try await node.list(after: nil, limit: 1, wrong) }
            await node.stop()
        }
    }

    @Test func aShardMadeBeforeThereWereRootsOwnsTheWholeTree() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let whole = descriptor(roots: [.root])
        try makeAsBeforeRoots(whole)
        for life in 0..<2 {
            let node = node()
            try await node.open(whole, .existing, whole.call())
            _ = try await node.enrol([face(life)], whole.call())
            #expect(try await node.statistics(whole.call()).faces == life + 1)
            let other = descriptor(roots: [LeafID(3)])
            await #expect(throws: ShardError.wrongOwner(whole.shard, owned: [.root])) {
                try await node.statistics(other.call())
            }
            await node.stop()
        }
        let log = "\(root)/\(whole.shard)/wal"
        var types: [RecordType] = []
        _ = try Log.inspect(directory: log, on: POSIXFileSystem()) { types.append($0.type) }
        #expect(types.contains(.put) && !types.contains(.config))
    }

    /// Files as the version before wrote them: an empty log, and a state that knows of no roots.
    private func makeAsBeforeRoots(_ descriptor: ShardDescriptor) throws {
        let folder = "\(root)/\(descriptor.shard)"
        let files = POSIXFileSystem()
        try files.createDirectory(folder)
        _ = try Log.open(directory: folder + "/wal", identity: LogIdentity(descriptor), on: files)
        _ = try ReplicaStore(descriptor, directory: folder + "/segments", on: files)
        let state = try ShardState(path: folder + "/state.sqlite", version: "1")
        try state.close()
    }

    @Test func missingFilesAreALossUntilTheyAreBack() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let shard = descriptor()
        let first = node()
        try await first.open(shard, .making, shard.call())
        _ = try await first.enrol([face(1)], shard.call())
        await first.stop()
        let folder = "\(root)/\(shard.shard)"
        try FileManager.default.moveItem(atPath: folder, toPath: folder + "-away")
        let node = node()
        for _ in 0..<2 {
            await #expect {
                try await node.open(shard, .existing, shard.call())
            } throws: { error in
                if case .damaged(_, let reason)? = error as? ShardError { reason.contains("missing") } else { false }
            }
            #expect(!FileManager.default.fileExists(atPath: folder))
        }
        try FileManager.default.moveItem(atPath: folder + "-away", toPath: folder)
        try await node.open(shard, .existing, shard.call())
        #expect(try await node.statistics(shard.call()).faces == 1)
        await node.stop()
    }

    @Test func whatContradictsTheFilesIsRefused() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let shard = descriptor()
        let first = node()
        try await first.open(shard, .making, shard.call())
        _ = try await first.enrol([face(1)], shard.call())
        await #expect(throws: ShardError.self) {
            try await first.open(descriptor(dimension: 128), .existing, shard.call())
        }
        await first.stop()
        let second = node()
        await #expect(throws: ShardError.self) {
            try await second.open(descriptor(roots: [LeafID(4)]), .making, shard.call())
        }
        await second.stop()
    }

    @Test func openingsOfOneShardAtOnceAreOneOpening() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let (node, shard) = (node(), descriptor())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    await #expect(throws: Never.self) { try await node.open(shard, .making, shard.call()) }
                }
            }
        }
        _ = try await node.enrol([face(1)], shard.call())
        #expect(try await node.statistics(ofNode: .embedded, deadline: .now + .seconds(9)).shards == 1)
        await node.stop()
    }

    @Test func aDroppedShardIsUnknownAndLeavesNothing() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let shard = descriptor()
        let first = node()
        try await first.open(shard, .making, shard.call())
        try await first.drop(shard.call())
        try await first.drop(shard.call())
        await #expect(throws: ShardError.unknownShard(shard.shard)) { try await first.statistics(shard.call()) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: root).isEmpty)
        await first.stop()
        // A crash between the rename and the removal.
        try FileManager.default.createDirectory(
            atPath: "\(root)/\(shard.shard).removed/wal", withIntermediateDirectories: true)
        _ = node()
        #expect(try FileManager.default.contentsOfDirectory(atPath: root).isEmpty)
    }

    @Test func enrolmentStopsAtTheMemoryBudgetAndSearchesGoOn() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let (node, shard) = (node(capacityBytes: 1), descriptor())
        try await node.open(shard, .making, shard.call())
        await #expect {
            try await node.enrol([face(1)], shard.call())
        } throws: { error in
            if case .writesRefused(_, let reason)? = error as? ShardError { reason.contains("memory") } else { false }
        }
        let answers = try await node.search(
            [ShardSearch(query: face(1).vector, limit: 1, minScore: -1, sigmas: 6)], shard.call())
        #expect(answers.map(\.candidates) == [[]])
        await node.stop()
    }

    @Test func aRequestWhoseTimeIsOverBeginsNothing() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let (node, shard) = (node(), descriptor())
        try await node.open(shard, .making, shard.call())
        let late = shard.call(within: .zero)
        await #expect(throws: ShardError.deadlineExceeded(shard.shard)) { try await node.enrol([face(1)], late) }
        _ = try await node.enrol([face(2)], shard.call())
        let query = ShardSearch(query: face(2).vector, limit: 1, minScore: -1, sigmas: 6)
        await #expect(throws: ShardError.deadlineExceeded(shard.shard)) { try await node.search([query], late) }
        #expect(try await node.statistics(shard.call()).faces == 1)
        await node.stop()
    }
}

@Suite struct ScanPoolTests {
    /// Holds a scan thread until it is let go.
    private final class Gate: Sendable {
        private let condition = NSCondition()
        private let open = Mutex(false)
        func pass() {
            condition.lock()
            while !open.withLock({ $0 }) { condition.wait() }
            condition.unlock()
        }
        func letGo() {
            condition.lock()
            open.withLock { $0 = true }
            condition.broadcast()
            condition.unlock()
        }
    }

    private static let farOff = ContinuousClock.now + .seconds(3_600)

    @Test func aCancelledScanBeginsNoFurtherPart() async {
        let (pool, gate) = (ScanPool(threads: 1), Gate())
        let begun = Mutex(0)
        let (started, starts) = AsyncStream.makeStream(of: Void.self)
        let scan = Task {
            await pool.run(parts: 100, until: Self.farOff) { _ in
                begun.withLock { $0 += 1 }
                starts.yield()
                gate.pass()
            }
        }
        for await _ in started { break }
        scan.cancel()
        // Answered while its part still stands at the gate.
        #expect(await scan.value == .abandoned)
        gate.letGo()
        #expect(await pool.run(parts: 3, until: Self.farOff) { _ in } == .done)
        #expect(begun.withLock { $0 } == 1)
        pool.stop()
    }

    @Test func aScanThatWaitsPastItsDeadlineIsDroppedUnbegun() async {
        let (pool, gate) = (ScanPool(threads: 1), Gate())
        let (started, starts) = AsyncStream.makeStream(of: Void.self)
        let blocker = Task {
            await pool.run(parts: 1, until: Self.farOff) { _ in
                starts.yield()
                gate.pass()
            }
        }
        for await _ in started { break }
        let begun = Mutex(false)
        let end = await pool.run(parts: 5, until: .now + .milliseconds(20)) { _ in begun.withLock { $0 = true } }
        #expect(end == .abandoned)
        gate.letGo()
        #expect(await blocker.value == .done)
        #expect(await pool.run(parts: 2, until: Self.farOff) { _ in } == .done)
        #expect(!begun.withLock { $0 })
        pool.stop()
    }

    @Test func aFullQueueRefusesAtOnce() async {
        let (pool, gate) = (ScanPool(threads: 1, queueMax: 1), Gate())
        let (started, starts) = AsyncStream.makeStream(of: Void.self)
        let blocker = Task {
            await pool.run(parts: 1, until: Self.farOff) { _ in
                starts.yield()
                gate.pass()
            }
        }
        for await _ in started { break }
        #expect(await pool.run(parts: 1, until: Self.farOff) { _ in } == .full)
        gate.letGo()
        #expect(await blocker.value == .done)
        pool.stop()
    }
}
