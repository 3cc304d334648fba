import ClusterModel
import FaceModel
import Replication

/// A copy whose files could not be opened.
struct DamagedCopy {
    var reason: String
    var descriptor: ShardDescriptor
    /// Of the collection, where they are known and the descriptor does not say.
    var keys: FaceIdentityKeys?
    /// By which it was tried.
    var register: RegisterState?
}

/// What becomes of copies when an operator has accepted a loss: a register of a later generation has them opened anew,
/// and the opening does what was accepted (docs/decisions/0029).
extension ShardShelf {
    /// What is to be opened anew, and first closed where it is open.
    private struct Reopening {
        var descriptor: ShardDescriptor
        var keys: FaceIdentityKeys?
        var closing: ShardReplica?
    }

    /// A register as it was read or has changed. True when the copy is opened anew because of it.
    @discardableResult func observe(_ register: RegisterState, of shard: ShardID) -> Bool {
        guard let reopening = beginReopening(register, of: shard) else {
            copy(shard)?.observe(register)
            return false
        }
        let begin: @Sendable () -> Void = { [self] in
            changes.addOperation { [self] in
                beginOpening(reopening.descriptor, .existing, register, keys: reopening.keys)
            }
        }
        if let replica = reopening.closing { replica.stop(.replaced, done: begin) } else { begin() }
        return true
    }

    private func beginReopening(_ register: RegisterState, of shard: ShardID) -> Reopening? {
        state.withLock { state in
            if case .changing? = state.slots[shard] { state.late[shard] = register }
            guard !state.stopping, let reopening = Self.reopening(state.slots[shard], register) else { return nil }
            state.slots[shard] = .changing([])
            return reopening
        }
    }

    private static func reopening(_ slot: Slot?, _ register: RegisterState) -> Reopening? {
        switch slot {
        case .open(let replica):
            guard register.isSuccessor(of: replica.generation, for: replica.descriptor.replica) else { return nil }
            return Reopening(descriptor: replica.descriptor, keys: replica.keys.known, closing: replica)
        case .damaged(let copy):
            let generation = copy.register?.configuration.generation ?? Generation(0)
            guard register.isSuccessor(of: generation, for: copy.descriptor.replica) else { return nil }
            return Reopening(descriptor: copy.descriptor, keys: copy.keys, closing: nil)
        case .changing, nil: return nil
        }
    }
}
