import FaceModel

/// What the control plane says, and what that changes.
extension ReplicaCore {
    /// The register as it was read or as a watch delivered it; older ones may come late.
    mutating func observe(_ state: RegisterState) {
        let new = state.configuration
        guard state.revision > memory.register.revision || forgetsItsReign(state) else { return settlePending() }
        guard new.generation == configuration.generation else {
            if new.generation > configuration.generation { stop(.generationPassed) }
            return
        }
        if contradicts(new) { return stop(.registerIsOlder) }
        if new.epoch > epoch || isCalled(by: new) || forgetsItsReign(state) {
            beginEpoch(of: state)
        } else {
            learn(state)
        }
        settlePending()
    }

    /// The others were sooner to tell of the epoch than the register was to tell who reigns in it.
    private func isCalled(by new: ShardConfiguration) -> Bool {
        new.epoch == epoch && new.epoch > configuration.epoch && names(new) && reignedIn < epoch
    }

    /// What was chosen is a process: one that started since may have found its log in doubt.
    private func names(_ new: ShardConfiguration) -> Bool {
        new.primary == id && (new.primaryIncarnation == incarnation || mutant == .resumeReignAfterRestart)
    }

    private func forgetsItsReign(_ state: RegisterState) -> Bool {
        mutant == .resumeReignAfterRestart && state.configuration.epoch == epoch && state.configuration.primary == id
            && !isPrimary
    }

    /// A later revision that says less than this replica knows: the store was restored from a backup.
    private func contradicts(_ new: ShardConfiguration) -> Bool {
        let known = configuration
        if known.version > new.version { return true }
        return known.epoch > new.epoch || (known.epoch == new.epoch && known.primary != new.primary)
    }

    private mutating func beginEpoch(of state: RegisterState) {
        endReign()
        memory.epoch = state.configuration.epoch
        take(state)
        if mutant != .forgetEpoch { effects.append(.persist(memory)) }
        role = .following(Following(heardAt: time))
        if names(state.configuration) {
            beginReign()
        } else if state.configuration.primary != id {
            // It may not have read the register since.
            send(.fenced, to: state.configuration.primary)
        }
    }

    /// Takes over a later register of this epoch or an earlier one.
    mutating func learn(_ state: RegisterState) {
        guard state.revision > memory.register.revision, !contradicts(state.configuration) else { return }
        take(state)
        effects.append(.persist(memory))
        if case .reigning = role { membersChanged() }
    }

    /// Only a primary whose register is confirmed takes anybody in.
    private mutating func take(_ state: RegisterState) {
        memory.register = state
        if state.configuration.isr.contains(id) { memory.isNew = false }
    }

    /// A primary whose register is confirmed has told of it.
    mutating func becomeKnowing() {
        guard memory.isNew else { return }
        memory.isNew = false
        effects.append(.persist(memory))
    }

    /// The log holds all that is committed: it may be elected again.
    mutating func becomeClean() {
        guard memory.isSuspect else { return }
        memory.isSuspect = false
        effects.append(.persist(memory))
    }

    /// A pending change is over when the register has moved on: it was made, or never will be.
    private mutating func settlePending() {
        guard case .reigning(var reign) = role, let pending = reign.pending else { return }
        guard memory.register.revision > pending.transaction.expected || mutant == .forgetPendingOnRead else { return }
        reign.pending = nil
        role = .reigning(reign)
        advanceCommit()
        finishRound()
    }

    /// One is sent more than once, so an answer may come when another is pending already: it says nothing of that.
    mutating func transactionEnded(_ transaction: RegisterTransaction, _ outcome: TransactionOutcome) {
        guard case .reigning(var reign) = role, let pending = reign.pending else { return }
        switch outcome {
        case .unknown:
            break
        case .made(let revision):
            observe(RegisterState(configuration: transaction.new, revision: revision))
        case .refused(let state):
            // At the same revision the comparison of a joiner failed, and always will: incarnations only rise.
            if pending.transaction == transaction, state.revision == transaction.expected {
                reign.pending = nil
                role = .reigning(reign)
                advanceCommit()
                finishRound()
            }
            observe(state)
        }
    }

    mutating func propose(_ isr: [ReplicaID], joiners: [RegisterTransaction.Joiner]) {
        // On a register that may be an old one no members are changed: its version would catch up with what was lost.
        guard case .reigning(var reign) = role, reign.pending == nil, reign.registerConfirmed else { return }
        let transaction = RegisterTransaction(
            expected: memory.register.revision, new: configuration.with(isr: isr), joiners: joiners)
        reign.pending = PendingChange(transaction: transaction, since: time, sentAt: time)
        role = .reigning(reign)
        effects.append(.transact(transaction))
        if mutant == .commitBeforeShrinkIsMade { advanceCommit() }
        askNewMembers()
    }
}
