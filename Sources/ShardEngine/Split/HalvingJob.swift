import ClusterModel
import Dispatch
import FaceModel
import Replication
import SegmentStore
import StorageIO
import Synchronization
import VectorSearch
import WriteAheadLog

/// Makes the files of the two shards that take a shard's place, from one copy's own files; every copy does so, and all
/// come to the same. Runs on a thread of its own: nothing is enrolled or deleted meanwhile, and merges may go on.
///
/// A half stands under its name once all of it is durable. What a crash leaves is made again.
final class HalvingJob: Sendable {
    let folder: ShardFolder
    private let descriptor: ShardDescriptor
    private let split: ShardSplitState
    private let tree: BucketTree
    /// With all faces of the shard.
    private let segments: [Segment]
    private let state: StateSnapshot
    private let isCancelled = Atomic(false)
    private let ended = DispatchSemaphore(value: 0)

    init(
        _ descriptor: ShardDescriptor, _ split: ShardSplitState, tree: BucketTree, segments: [Segment],
        state: StateSnapshot, in folder: ShardFolder
    ) {
        (self.descriptor, self.split, self.tree) = (descriptor, split, tree)
        (self.segments, self.state, self.folder) = (segments, state, folder)
    }

    func cancel() { isCancelled.store(true, ordering: .relaxed) }

    /// Returns when `run` has: nothing is written any more. Once.
    func awaitEnd() { ended.wait() }

    func run() throws(ReplicaError) {
        defer { ended.signal() }
        guard let division = tree.division(of: tree.roots[0]) else {
            throw .inconsistent(reason: "the shard is being split along a line that its tree does not have")
        }
        let (first, second) = try rows(division.sides)
        let children = [division.children.first, division.children.second]
        for (number, half) in split.plan.halves.enumerated() {
            guard try !folder.hasHalf(half.shard, at: split.end.index) else { continue }
            let mine = HalfOfShard(
                root: half.root, child: children[number], end: split.end, tree: tree, rows: [first, second][number])
            try make(mine, descriptor.half(half))
        }
    }

    /// The live rows of each side, by segment.
    private func rows(
        _ sides: DirectionPair
    ) throws(ReplicaError) -> (first: [UInt64: RowBitmap], second: [UInt64: RowBitmap]) {
        let live = try state.places()
        var (first, second): ([UInt64: RowBitmap], [UInt64: RowBitmap]) = ([:], [:])
        for segment in segments {
            guard let alive = live[segment.number] else { continue }
            var sorted = (RowBitmap(), RowBitmap())
            for row in 0..<segment.count where alive.contains(row) {
                try requireWanted()
                if sides.isNearerToSecond(try vector(row, of: segment)) {
                    sorted.1.insert(row)
                } else {
                    sorted.0.insert(row)
                }
            }
            (first[segment.number], second[segment.number]) = sorted
        }
        return (first, second)
    }

    private func make(_ half: HalfOfShard, _ descriptor: ShardDescriptor) throws(ReplicaError) {
        let making = folder.halfInTheMaking(descriptor.shard, at: half.end.index)
        try making.makeAnew()
        let state = try ShardState(path: making.state)
        try state.fill(half, from: self.state)
        try copySegments(half, try state.tree(dimension: descriptor.dimension).tree, descriptor, to: making)
        do throws(LogError) {
            try Log.begin(
                after: half.end.index, epochs: [LogEpochStart(epoch: half.end.epoch, first: half.end.index)],
                directory: making.log, identity: LogIdentity(descriptor), on: folder.files)
        } catch {
            throw .log(error)
        }
        // Closing writes everything into the database's own file and syncs it.
        try state.close()
        try folder.nameHalf(descriptor.shard, at: half.end.index)
    }

    private func copySegments(
        _ half: HalfOfShard, _ tree: BucketTree, _ descriptor: ShardDescriptor, to target: ShardFolder
    ) throws(ReplicaError) {
        let store = try segmentStep { () throws(SegmentError) in
            try SegmentStore.open(
                directory: target.segments, identity: SegmentIdentity(descriptor), on: folder.files)
        }
        for segment in segments {
            // A half that lacks one must never get its name.
            try requireWanted()
            var left = RowBitmap()
            let mine = half.rows[segment.number] ?? RowBitmap()
            for row in 0..<segment.count where !mine.contains(row) { left.insert(row) }
            try segmentStep { () throws(SegmentError) in
                try store.copy(
                    segment, leaving: left, kept: { half.leaf($0) == $0 && tree.isLeaf($0) },
                    rehome: { tree.leaf(of: $1, below: half.leaf($0)) })
            }
        }
        _ = try segmentStep { () throws(SegmentError) in try store.flush([], through: half.end.index) }
    }

    private func segmentStep<Value>(_ body: () throws(SegmentError) -> Value) throws(ReplicaError) -> Value {
        do throws(SegmentError) { return try body() } catch { throw .segments(error) }
    }

    private func vector(_ row: Int, of segment: Segment) throws(ReplicaError) -> RotatedVector {
        do throws(SegmentError) { return try segment.vector(row) } catch { throw .segments(error) }
    }

    private func requireWanted() throws(ReplicaError) {
        if isCancelled.load(ordering: .relaxed) { throw .contradiction(reason: "the split is not wanted any more") }
    }
}

extension ShardDescriptor {
    /// The same node's copy of a half.
    func half(_ half: SplitPlan.Half) -> ShardDescriptor {
        var descriptor = self
        descriptor.shard = half.shard
        descriptor.replica = replica.half(half.shard)
        descriptor.roots = [half.root]
        return descriptor
    }
}
