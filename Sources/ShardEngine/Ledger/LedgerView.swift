import AuditLedger
import FaceModel
import Synchronization

/// The ledger in memory, shared by its writer and those who read: the machine, and where each search's leaves are.
/// The lock is held for hashing at most, never for the disk.
final class LedgerView: Sendable {
    struct State {
        var machine: LedgerMachine
        /// Committed leaves of each search, in order: about 120 bytes a search, rebuilt at every open.
        var index: [SearchID: [UInt64]] = [:]
        /// Why no entry is taken now.
        var refusing: String?
        /// Set once, for good.
        var failure: LedgerError?
    }

    private let state: Mutex<State>

    init(_ machine: LedgerMachine) { state = Mutex(State(machine: machine)) }

    func use<Value: Sendable>(_ body: (inout State) -> Value) -> Value { state.withLock { body(&$0) } }

    /// Throws what made the ledger unusable.
    func whole<Value: Sendable>(_ body: (inout State) -> Value) throws(LedgerError) -> Value {
        let outcome = state.withLock { state -> Result<Value, LedgerError> in
            if let failure = state.failure { return .failure(failure) }
            return .success(body(&state))
        }
        return try outcome.get()
    }

    func fail(_ error: LedgerError) { state.withLock { $0.failure = $0.failure ?? error } }

    var status: LedgerStatus {
        state.withLock { state in
            LedgerStatus(
                treeSize: state.machine.committedSize, rootHash: state.machine.committedRoot.bytes,
                verifierKey: state.machine.verifierKey.text, refusing: state.failure?.reason ?? state.refusing)
        }
    }
}

extension LedgerError {
    package var reason: String {
        switch self {
        case .refusing(let reason), .damaged(let reason), .stopped(let reason), .unreachable(let reason): reason
        }
    }
}
