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
/// come to the same. Runs on a thread of its own, on what was applied when it began: merges may go on.
///
/// A half stands under its name once all of it is durable. What a crash leaves is made again.
final class HalvingJob: Sendable {
    enum Aim: Sendable {
        /// Files that are brought up later, of all that was applied as far as this.
        case draft(LogIndex)
        /// The halves, behind the record that began the split: nothing is enrolled or deleted any more.
        case halves(LogPoint)

        var index: LogIndex {
            switch self {
            case .draft(let index): index
            case .halves(let end): end.index
            }
        }
    }

    let folder: ShardFolder
    private let descriptor: ShardDescriptor
    private let plan: SplitPlan
    private let aim: Aim
    /// What the files hold already; nil where there are none.
    private let draft: HalvesDraft?
    private let tree: BucketTree
    /// With all faces of the shard.
    private let segments: [Segment]
    private let state: StateSnapshot
    private let isCancelled = Atomic(false)
    private let ended = DispatchSemaphore(value: 0)

    init(
        _ descriptor: ShardDescriptor, _ plan: SplitPlan, _ aim: Aim, over draft: HalvesDraft?, tree: BucketTree,
        segments: [Segment], state: StateSnapshot, in folder: ShardFolder
    ) {
        (self.descriptor, self.plan, self.aim, self.draft, self.tree) = (descriptor, plan, aim, draft, tree)
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
        for (number, half) in plan.halves.enumerated() {
            if case .halves(let end) = aim, try folder.hasHalf(half.shard, at: end.index) { continue }
            let mine = HalfOfShard(
                root: half.root, child: children[number], through: aim.index, tree: tree,
                rows: [first, second][number])
            try make(mine, descriptor.half(half))
        }
    }

    /// The live rows of each side that the files lack, by segment.
    private func rows(
        _ sides: DirectionPair
    ) throws(ReplicaError) -> (first: [UInt64: RowBitmap], second: [UInt64: RowBitmap]) {
        let live = if let draft { try state.places(of: draft.changes.faces) } else { try state.places() }
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
        let making = try place(descriptor.shard)
        let state = try ShardState(path: making.state)
        if let draft {
            try state.bring(half, over: draft, from: self.state)
        } else {
            try state.fill(half, from: self.state, isWanted: requireWanted)
        }
        try copySegments(half, state, descriptor, to: making)
        if case .halves(let end) = aim { try beginLog(behind: end, descriptor, in: making) }
        // Closing writes everything into the database's own file and syncs it.
        try state.close()
        if case .halves(let end) = aim { try folder.nameHalf(descriptor.shard, at: end.index) }
    }

    /// Where a half's files are put together.
    private func place(_ half: ShardID) throws(ReplicaError) -> ShardFolder {
        switch aim {
        case .draft:
            let drafted = folder.draft(of: half)
            if draft == nil { try drafted.makeAnew() }
            return drafted
        case .halves(let end):
            let making = folder.halfInTheMaking(half, at: end.index)
            if draft == nil { try making.makeAnew() } else { try folder.takeDraft(of: half, at: end.index) }
            return making
        }
    }

    private func copySegments(
        _ half: HalfOfShard, _ state: ShardState, _ descriptor: ShardDescriptor, to target: ShardFolder
    ) throws(ReplicaError) {
        let tree = try state.tree(dimension: descriptor.dimension).tree
        let store = try segmentStep { () throws(SegmentError) in
            try SegmentStore.open(
                directory: target.segments, identity: SegmentIdentity(descriptor), on: folder.files)
        }
        for segment in segments {
            // A half that lacks one must never get its name.
            try requireWanted()
            guard let mine = half.rows[segment.number] else { continue }
            var left = RowBitmap()
            for row in 0..<segment.count where !mine.contains(row) { left.insert(row) }
            let copy = try segmentStep { () throws(SegmentError) in
                try store.copy(
                    segment, leaving: left, kept: { half.leaf($0) == $0 && tree.isLeaf($0) },
                    rehome: { tree.leaf(of: $1, below: half.leaf($0)) })
            }
            // Who opens the half would do so otherwise, while everybody waits.
            guard let copy else { continue }
            try state.place(copy.ids, inSegment: copy.number, of: store.segments.map(\.number))
        }
        _ = try segmentStep { () throws(SegmentError) in try store.flush([], through: half.through) }
    }

    private func beginLog(
        behind end: LogPoint, _ descriptor: ShardDescriptor, in target: ShardFolder
    ) throws(ReplicaError) {
        do throws(LogError) {
            try Log.begin(
                after: end.index, epochs: [LogEpochStart(epoch: end.epoch, first: end.index)],
                directory: target.log, identity: LogIdentity(descriptor), on: folder.files)
        } catch {
            throw .log(error)
        }
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
