import ClusterModel
import FaceModel
import Replication
import SegmentStore
import Synchronization

/// What a replica's writer shows to everyone else: the newest snapshot and the shard's buckets then, and why writes are
/// refused, if they are. The lock is held for a copy of references; a scan never waits for the writer.
final class PublishedReplica: Sendable {
    /// What stands together: the faces and the tree of buckets at one log position.
    struct View: Sendable {
        var snapshot: SearchSnapshot
        var tree: DatedTree
        var lsn: LogIndex

        /// The subtree roots the shard owns.
        var roots: [LeafID] { tree.tree.roots }
    }

    /// The replica's part among the shard's copies.
    struct Role: Sendable {
        /// It is the only copy that counts, and may answer: what it has applied is all there is.
        var isAlone: Bool
        var isPrimary: Bool
        var epoch: Epoch
        var commit: LogIndex
        var configuration: ShardConfiguration
    }

    private struct State {
        var view: View
        var role: Role?
        var residentBytes: Int
        /// Numbers of the segments that are locked in memory.
        var locked: Set<UInt64> = []
        var writesRefused: String?
        var damaged: String?
        var closed: ShardError?
    }
    private let state: Mutex<State>
    private let budget: MemoryBudget

    init(_ view: View, budget: MemoryBudget) {
        let bytes = view.snapshot.residentBytes
        self.budget = budget
        state = Mutex(State(view: view, residentBytes: bytes))
        budget.change(by: bytes)
    }

    var current: View { state.withLock { $0.view } }
    /// Nil until the writer has begun.
    var role: Role? { state.withLock { $0.role } }
    var writesRefused: String? { state.withLock { $0.writesRefused } }
    /// A block that failed its checksum: nothing is answered from this replica any more.
    var damaged: String? { state.withLock { $0.damaged } }
    /// What everybody is told once the replica's files are closed.
    var closed: ShardError? { state.withLock { $0.closed } }

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
        let held = state.withLock { state in
            guard state.closed == nil else { return 0 }
            state.closed = reason
            return state.residentBytes
        }
        budget.change(by: -held)
    }

    func setRole(_ role: Role) { state.withLock { $0.role = role } }
    func setWritesRefused(_ reason: String?) { state.withLock { $0.writesRefused = reason } }
    func setDamaged(_ reason: String) { state.withLock { $0.damaged = reason } }
}
