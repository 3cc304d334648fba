import ClusterModel
import FaceModel
import Foundation
import SimulatedDisk
import StorageIO

@testable import ShardEngine

/// The shard under test, through `ShardNode`: log and segments on a simulated disk, `state.sqlite` on the real one.
final class EngineModelShard {
    let descriptor: ShardDescriptor
    private let root: String
    private let disk = SimulatedDisk()
    private var life: EngineModelDisk
    private(set) var node: ShardNode
    /// Nodes so far: every second one maps what it can, so that both kinds read what either wrote.
    private var lives = 0
    private let state: StateImage

    private var folder: String { "\(root)/\(descriptor.shard)" }
    private var call: ShardCall { descriptor.call() }

    /// A new, empty shard. Its folder is made on the real disk, which can rename one, and moved.
    init(dimension: Int, using random: inout SplitMix) async throws {
        root = NSTemporaryDirectory() + "facet-model-\(ProcessInfo.processInfo.globallyUniqueString)"
        let shard = ShardID(.random(using: &random))
        descriptor = ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(.random(using: &random)),
            shard: shard, replica: ReplicaID(shard.bits), dimension: dimension, modelVersion: "1.0",
            idKey: (0..<32).map { _ in UInt8(truncatingIfNeeded: random.next()) }, roots: [LeafID(3)])
        let maker = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 2))
        try await maker.open(descriptor, .making, descriptor.call())
        await maker.stop()
        state = StateImage(of: "\(root)/\(shard)")
        life = EngineModelDisk(disk, state: state)
        node = ShardNode(directory: root, files: life, pool: ScanPool(threads: 2))
        try adoptFiles()
        try await open()
    }

    /// Ends the node and removes every file.
    func remove() async throws {
        await node.stop()
        life.end()
        try FileManager.default.removeItem(atPath: root)
    }

    private func adoptFiles() throws {
        for part in ["wal", "segments"] {
            let directory = "\(folder)/\(part)"
            try disk.createDirectory(directory)
            for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
                disk.install(
                    "\(directory)/\(name)", [UInt8](try Data(contentsOf: URL(filePath: "\(directory)/\(name)"))))
            }
        }
    }

    // MARK: Lives

    /// An orderly end and a new beginning.
    func reopen() async throws {
        await node.stop()
        life.end()
        try await begin()
    }

    /// From now on, the `count`-th change of the disk and all after it fail.
    func failDisk(afterChanges count: Int) { disk.crash(atOperation: disk.operations + count) }

    /// Power is lost: what the log and the segments did not sync is gone or torn, and if `forgettingState`, so is
    /// what `state.sqlite` took since it was last synced.
    func losePower(seed: UInt64, forgettingState: Bool) async throws {
        failDisk(afterChanges: 1)
        await node.stop()
        life.end()
        disk.restart(seed: seed)
        if forgettingState { try state.restore() }
        try await begin()
    }

    private func begin() async throws {
        life = EngineModelDisk(disk, state: state)
        lives += 1
        node = ShardNode(
            directory: root, files: life, pool: ScanPool(threads: 2), mapsPlanes: lives.isMultiple(of: 2))
        try await open()
    }

    /// Whether the digest that is kept with every change is that of the rows there are.
    func countsItself() throws -> Bool {
        let state = try node.shelf.replica(descriptor.shard).state
        return try state.digest() == state.recount()
    }

    private func open() async throws {
        state.take()
        try await node.open(descriptor, .existing, call)
    }

    // MARK: Requests

    func enrol(_ faces: [NewFace]) async throws(ShardError) -> EnrolOutcome { try await node.enrol(faces, call) }

    func delete(_ ids: [FaceID]) async throws(ShardError) -> DeleteOutcome {
        try await node.delete(ids, token: .none, call)
    }

    func search(_ queries: [EngineModel.Query]) async throws(ShardError) -> [ShardSearchAnswer] {
        let searches = queries.map {
            ShardSearch(
                query: $0.vector, limit: $0.limit, minScore: $0.minScore, sigmas: $0.sigmas, buckets: $0.buckets)
        }
        return try await node.search(searches, call)
    }

    func buckets(after leaf: LeafID?, limit: Int) async throws(ShardError) -> BucketPage {
        try await node.buckets(after: leaf, limit: limit, call)
    }

    func sample(every: UInt32, limit: Int) async throws(ShardError) -> [SampledFace] {
        try await node.sample(SampleRequest(every: every, limit: limit), call)
    }

    func faces(_ ids: [FaceID]) async throws(ShardError) -> [StoredFace] {
        try await node.faces(ids, call).faces
    }
    func vector(_ id: FaceID) async throws(ShardError) -> RotatedVector? { try await node.vector(id, call) }
    func list(after id: FaceID?, limit: Int) async throws(ShardError) -> FacePage {
        try await node.list(after: id, limit: limit, call)
    }
    func statistics() async throws(ShardError) -> ShardStatistics { try await node.statistics(call) }
}
