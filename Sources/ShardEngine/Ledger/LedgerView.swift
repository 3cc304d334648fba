import AuditLedger
import FaceModel
import Synchronization

/// The ledger in memory, shared by its writer and those who read: the machine, and where each search's leaves are.
/// The lock is held for hashing at most, never for the disk.
final class LedgerView: Sendable {
    struct LeafPlace: Sendable {
        var index: UInt64
        var kind: Leaf.Kind
    }

    struct State {
        var machine: LedgerMachine
        /// Committed leaves of each search, in order: about 120 bytes a search, rebuilt at every open.
        var index: [SearchID: [LeafPlace]] = [:]
        /// Set once, for good.
        var failure: LedgerError?

        mutating func take(_ payload: LeafPayload) -> LedgerMachine.Taking {
            let taking = machine.take(payload)
            if case .taken = taking { note(payload.leaf, at: payload.index) }
            return taking
        }

        mutating func note(_ leaf: Leaf, at index: UInt64) {
            self.index[leaf.search, default: []].append(LeafPlace(index: index, kind: leaf.kind))
        }
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

    func status(refusing: String?) -> LedgerStatus {
        state.withLock { state in
            LedgerStatus(
                treeSize: state.machine.committedSize, rootHash: state.machine.committedRoot.bytes,
                verifierKey: state.machine.verifierKey.text, refusing: state.failure?.reason ?? refusing)
        }
    }
}

extension LedgerError {
    package var reason: String {
        switch self {
        case .refusing(let reason), .damaged(let reason), .stopped(let reason), .unreachable(let reason): reason
        case .suspended: "the account is suspended"
        case .keyRevoked: "the access key is revoked"
        }
    }
}

extension LedgerMachine {
    /// The size of a checkpoint that this ledger's key signed and its tree does not contradict; else why not.
    func judge(_ note: String) -> Result<UInt64, LedgerError> {
        guard let checkpoint = verifierKey.open(note) else {
            return .failure(.damaged(reason: "it is not a checkpoint signed by this ledger's key"))
        }
        if let reason = contradiction(to: checkpoint) {
            return .failure(.damaged(reason: "\(reason); `facectl ledger verify` names the leaf"))
        }
        return .success(checkpoint.size)
    }
}
