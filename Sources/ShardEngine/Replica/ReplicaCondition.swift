import ClusterModel
import FaceModel
import Replication
import Synchronization

/// How a copy is, as its writer shows it to everyone else.
final class ReplicaCondition: Sendable {
    /// The replica's part among the shard's copies.
    struct Role: Sendable {
        /// It is the only copy that counts, and may answer: what it has applied is all there is.
        var isAlone: Bool
        var isPrimary: Bool
        var epoch: Epoch
        var commit: LogIndex
        /// As far as its log is durable.
        var durable: LogPoint
        var configuration: ShardConfiguration
    }

    /// Files of the halves that the shard is split into.
    struct Halves {
        var areMade = false
        /// What keeps them from being made.
        var trouble: String?
    }

    private struct State {
        var role: Role?
        var writesRefused: String?
        var damaged: String?
        /// What is wrong with each segment that waits for its repair.
        var rotten: [UInt64: String] = [:]
        var closed: ShardError?
        var halves = Halves()
        var draft: SplitPlan?
    }

    private let state = Mutex(State())

    /// Nil until the writer has begun.
    var role: Role? { state.withLock { $0.role } }
    var writesRefused: String? { state.withLock { $0.writesRefused } }
    /// What was read is not what was written: nothing is answered from this replica any more, or until segments that are
    /// rotten were repaired.
    var damaged: String? { state.withLock { $0.damaged ?? $0.rotten.min { $0.key < $1.key }?.value } }
    /// The same of what no repair helps: nothing may be built upon it either.
    var ruined: String? { state.withLock { $0.damaged } }
    /// What everybody is told once the replica's files are closed.
    var closed: ShardError? { state.withLock { $0.closed } }

    var halves: Halves { state.withLock { $0.halves } }

    /// Of which plan the halves' files are drafted.
    var draft: SplitPlan? { state.withLock { $0.draft } }
    func setDraft(_ plan: SplitPlan?) { state.withLock { $0.draft = plan } }

    func setHalves(_ halves: Halves) { state.withLock { $0.halves = halves } }
    func setRole(_ role: Role) { state.withLock { $0.role = role } }
    func setWritesRefused(_ reason: String?) { state.withLock { $0.writesRefused = reason } }
    func setDamaged(_ reason: String) { state.withLock { $0.damaged = reason } }
    /// False where that was known.
    func setRotten(_ segment: UInt64, _ reason: String) -> Bool {
        state.withLock { $0.rotten.updateValue(reason, forKey: segment) == nil }
    }
    func setSound(_ segment: UInt64) { state.withLock { $0.rotten[segment] = nil } }

    /// False where it was closed before; the first reason stands.
    func close(_ reason: ShardError) -> Bool {
        state.withLock { state in
            guard state.closed == nil else { return false }
            state.closed = reason
            return true
        }
    }
}
