import FaceModel
import SegmentStore
import Synchronization

/// What a replica's writer shows to everyone else: the newest snapshot, and why writes are refused, if they are.
/// The lock is held for a copy of references; a scan never waits for the writer.
final class PublishedReplica: Sendable {
    private struct State {
        var snapshot: SearchSnapshot
        var lsn: LogIndex
        var writesRefused: String?
        var damaged: String?
    }
    private let state: Mutex<State>

    init(snapshot: SearchSnapshot, at lsn: LogIndex) {
        state = Mutex(State(snapshot: snapshot, lsn: lsn, writesRefused: nil, damaged: nil))
    }

    var current: (snapshot: SearchSnapshot, lsn: LogIndex) { state.withLock { ($0.snapshot, $0.lsn) } }
    var writesRefused: String? { state.withLock { $0.writesRefused } }
    /// A block that failed its checksum: nothing is answered from this replica any more.
    var damaged: String? { state.withLock { $0.damaged } }

    func publish(_ snapshot: SearchSnapshot, at lsn: LogIndex) {
        state.withLock { state in
            state.snapshot = snapshot
            state.lsn = lsn
        }
    }

    func setWritesRefused(_ reason: String?) { state.withLock { $0.writesRefused = reason } }
    func setDamaged(_ reason: String) { state.withLock { $0.damaged = reason } }
}
