import Dispatch
import FaceModel
import KeyHierarchy
import Replication
import SegmentStore
import Synchronization

/// Asks a shard's other copies for faces that this one's files no longer give. A face's id is a function of its vector
/// and name under the collection's key, so that nothing but the very face is taken.
final class RowFetch: Sendable {
    private static let patience = Duration.seconds(10)

    private let shard: ShardID
    private let dimension: Int
    private let keys: FaceIdentityKeys
    /// Nodes of the other copies in sync.
    private let nodes: [NodeID]
    private let source: any CopySource
    private let isCancelled = Atomic(false)

    init(
        of shard: ShardID, dimension: Int, keys: FaceIdentityKeys, from nodes: [NodeID], by source: any CopySource
    ) {
        (self.shard, self.dimension, self.keys) = (shard, dimension, keys)
        (self.nodes, self.source) = (nodes, source)
    }

    var isWanted: Bool { !isCancelled.load(ordering: .relaxed) }
    func cancel() { isCancelled.store(true, ordering: .relaxed) }

    /// Those that can be had; blocks its thread.
    func rows(of ids: [FaceID]) -> [FaceID: SegmentRow] {
        var found: [FaceID: SegmentRow] = [:]
        for node in nodes {
            var missing = ids.filter { found[$0] == nil }[...]
            while !missing.isEmpty, isWanted {
                let piece = Array(missing.prefix(facesPerRequest))
                missing = missing.dropFirst(piece.count)
                guard let rows = ask(node, for: piece) else { break }
                for row in rows { found[row.id] = row }
            }
        }
        return found
    }

    /// An answer stays well below what a frame holds.
    private var facesPerRequest: Int {
        min(Limits.batchFacesMax, Limits.replicaLetterBytes / (256 + dimension * MemoryLayout<Float>.size))
    }

    /// Nil where the node does not answer.
    private func ask(_ node: NodeID, for ids: [FaceID]) -> [SegmentRow]? {
        let answer = Handed<[[UInt8]]>()
        let (source, shard) = (source, shard)
        Task { answer.give(await source.rows(of: ids, shard, on: node, deadline: .now + Self.patience)) }
        let wanted = Set(ids)
        return answer.take().map { $0.compactMap { face($0, among: wanted) } }
    }

    /// Nil unless it is one of those that were asked for.
    private func face(_ payload: [UInt8], among wanted: Set<FaceID>) -> SegmentRow? {
        let put: PutRecord
        do throws(ReplicaError) {
            put = try PutRecord(payload: payload, token: .none, at: .zero)
        } catch {
            return nil
        }
        guard wanted.contains(put.id), put.vector.dimension == dimension else { return nil }
        let key = keys.key(of: put.vector, put.externalImageID)
        return keys.faceID(key: key, count: put.count) == put.id ? put.row : nil
    }
}

/// Hands what a task finds to a thread that waits for it.
private final class Handed<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let given = DispatchSemaphore(value: 0)

    func give(_ value: Value?) {
        self.value.withLock { $0 = value }
        given.signal()
    }

    func take() -> Value? {
        given.wait()
        return value.withLock { $0 }
    }
}
