import ClusterModel
import FaceModel
import SegmentStore
import Synchronization

/// What a replica's writer shows to those who read faces: the newest snapshot and the shard's buckets then. The lock is held for a copy of references; a scan never waits for the writer.
final class PublishedReplica: Sendable {
    /// What stands together: the faces and the tree of buckets at one log position.
    struct View: Sendable {
        var snapshot: SearchSnapshot
        var tree: DatedTree
        var split: ShardSplitState?
        var lsn: LogIndex

        /// The subtree roots the shard owns.
        var roots: [LeafID] { tree.roots(split) }
    }

    private struct State {
        var view: View
        var residentBytes: Int
        /// Numbers of the segments that are locked in memory.
        var locked: Set<UInt64> = []
    }
    let condition = ReplicaCondition()
    private let state: Mutex<State>
    private let budget: MemoryBudget

    init(_ view: View, budget: MemoryBudget) {
        let bytes = view.snapshot.residentBytes
        self.budget = budget
        state = Mutex(State(view: view, residentBytes: bytes))
        budget.change(by: bytes)
    }

    var current: View { state.withLock { $0.view } }

    /// Locks the segments of the snapshot that are not yet, where the node is to; why not, where the system refuses.
    func lockMemory() -> String? {
        guard budget.locksMemory else { return nil }
        let (segments, locked) = state.withLock { ($0.view.snapshot.segments.map(\.segment), $0.locked) }
        let fresh = segments.filter { !locked.contains($0.number) }
        guard !fresh.isEmpty else { return nil }
        if let refusal = MemoryLock.lock(fresh) { return refusal }
        state.withLock { $0.locked = Set(segments.map(\.number)) }
        return nil
    }

    func publish(_ view: View) {
        let bytes = view.snapshot.residentBytes
        let before = state.withLock { state in
            state.view = view
            defer { state.residentBytes = bytes }
            return state.residentBytes
        }
        budget.change(by: bytes - before)
    }

    /// Nothing is answered any more; the memory counts as free, since it goes with the last scan of it.
    func close(_ reason: ShardError) {
        guard condition.close(reason) else { return }
        budget.change(by: -state.withLock { $0.residentBytes })
    }
}
