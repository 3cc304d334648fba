import ClusterModel
import FaceModel
import Foundation
import ShardEngine
import StorageIO
import VectorSearch

/// One shard on this disk, through the node that serves it: log, state and segments as in a server.
final class BenchShard: Sendable {
    let directory: String
    private let node: ShardNode
    private let descriptor: ShardDescriptor

    /// Made anew, or opened as it stands; `number` tells shards apart.
    init(directory: String, number: UInt64, dimension: Int, threads: Int, making: Bool) async throws {
        self.directory = directory
        let registers = LoneRegisters.of(directory)
        node = ShardNode(
            directory: directory, files: POSIXFileSystem(), pool: ScanPool(threads: threads),
            surroundings: ReplicaSurroundings(
                node: .embedded, incarnation: registers.raised(), registers: registers, post: NoPost()))
        descriptor = ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 2)),
            shard: ShardID(Bits128(high: 0, low: number)), replica: ReplicaID(Bits128(high: 0, low: number)),
            dimension: dimension, modelVersion: "1.0",
            idKey: [UInt8](repeating: 7, count: 32), roots: [.root])
        try await node.open(descriptor, making ? .making : .existing, call)
    }

    private var call: ShardCall {
        ShardCall(
            shard: descriptor.shard, node: .embedded, roots: descriptor.roots, deadline: .now + .seconds(300),
            request: RequestID(Bits128(high: 0, low: 1)))
    }

    func stop() async { await node.stop() }

    func enrol(_ rows: some Sequence<Int>, of faces: BenchCollection) async throws -> [FaceID] {
        // As requests have it: what is remembered of them is part of an enrolment's cost.
        var random = SystemRandomNumberGenerator()
        let token = RequestToken(.random(using: &random))
        let new = rows.enumerated().map { position, row in
            NewFace(
                vector: faces.vector(row), externalImageID: nil, record: FaceRecord(imageID: nil, detail: nil),
                token: token.face(at: position))
        }
        return try await node.enrol(new, call).faces
    }

    func delete(_ ids: [FaceID]) async throws {
        _ = try await node.delete(ids, token: .none, call)
    }

    func search(_ probe: RotatedVector, _ search: Search) async throws -> [Match] {
        let asked = ShardSearch(
            query: probe, limit: search.limit, minScore: search.minScore, sigmas: PlaneCode.sigmasDefault)
        return try await node.search([asked], call)[0].candidates.map { Match(face: $0.face.id, score: $0.score) }
    }

    func statistics() async throws -> ShardStatistics { try await node.statistics(call) }

    /// Returns when no merge has changed anything for some seconds.
    func settled() async throws -> ShardStatistics {
        var last = try await statistics()
        var quiet = 0
        while quiet < 30 {
            try await Task.sleep(for: .milliseconds(200))
            let now = try await statistics()
            quiet = now == last ? quiet + 1 : 0
            last = now
        }
        return last
    }

    /// Of all its files; by the name of the folder or file they are in.
    func diskBytes() throws -> [String: Int] {
        let folder = "\(directory)/\(descriptor.shard)"
        var bytes: [String: Int] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)
            guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
            let part = name.split(separator: "/").first.map(String.init) ?? name
            bytes[part, default: 0] += (attributes[.size] as? NSNumber)?.intValue ?? 0
        }
        return bytes
    }
}

/// Runs what waits, for a program that does not.
func blocking<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) throws -> Value {
    let result = Results<Result<Value, any Error>?>(repeating: nil, count: 1)
    let done = DispatchSemaphore(value: 0)
    Task {
        do { result[0] = .success(try await work()) } catch { result[0] = .failure(error) }
        done.signal()
    }
    done.wait()
    guard let result = result[0] else { preconditionFailure("signalled without a result") }
    return try result.get()
}

/// Processor time of this process, all its threads, in seconds.
enum Processor {
    static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
