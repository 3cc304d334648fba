import FaceModel

/// Writing, and what is committed.
extension ReplicaCore {
    mutating func beginReign() {
        becomeClean()
        reignedIn = epoch
        let barrier = log.last.next
        let others = configuration.named.filter { $0 != id }.map { Progress($0, next: barrier, time: time) }
        role = .reigning(Reign(barrier: barrier, others: others, unconfirmedSince: time, activeAt: time, readAt: time))
        append(1, .epochStart)
        sendAppends()
        advanceCommit()
    }

    /// Every client that waits learns that it does not know.
    mutating func endReign() {
        guard case .reigning(let reign) = role else { return }
        for write in reign.writes { effects.append(.answer(write.number, .unknown)) }
        for read in (reign.round?.reads ?? []) + reign.queuedReads {
            effects.append(.answer(read, .refused(.notPrimary(nil))))
        }
    }

    func serves(_ reign: Reign) -> Bool {
        guard mayCommit else { return false }
        return (commit >= reign.barrier || mutant == .serveBeforeBarrier)
            && (reign.registerConfirmed || mutant == .serveUnconfirmedRegister)
    }

    private var mayCommit: Bool {
        configuration.isr.count >= configuration.minISR || mutant == .shrinkBelowMinimum
    }

    mutating func write(_ number: RequestNumber, records: Int) {
        guard case .reigning(var reign) = role else { return refuse(number, .notPrimary(primaryHint)) }
        guard serves(reign) else { return refuse(number, .notServing) }
        guard reign.writes.count < timing.waitingMax else { return refuse(number, .busy) }
        reign.writes.append(PendingWrite(number: number, last: log.last.advanced(by: records)))
        (reign.unconfirmedSince, reign.activeAt) = (time, time)
        role = .reigning(reign)
        append(records, .write(number))
        sendAppends()
    }

    mutating func refuse(_ number: RequestNumber, _ refusal: ReplicaAnswer.Refusal) {
        effects.append(.answer(number, .refused(refusal)))
    }

    var primaryHint: ReplicaID? { configuration.primary == id ? nil : configuration.primary }

    /// Whose acknowledgements a commit needs: the in-sync set as known and as proposed.
    func required(_ reign: Reign) -> [ReplicaID] {
        guard let pending = reign.pending else { return configuration.isr }
        if mutant == .commitBeforeShrinkIsMade, pending.isr.count < configuration.isr.count { return pending.isr }
        if mutant == .commitByProposedAlone { return pending.isr }
        if mutant == .joinerDoesNotCount { return configuration.isr }
        return configuration.isr + pending.isr.filter { !configuration.isr.contains($0) }
    }

    mutating func advanceCommit() {
        guard case .reigning(var reign) = role else { return }
        confirmRegister(&reign)
        role = .reigning(reign)
        // Too few are in sync where an operator named only one: then others join first.
        guard mayCommit else { return }
        var agreed = durable
        for replica in required(reign) where replica != id {
            agreed = min(agreed, reign.others.first { $0.replica == replica }.map(counted) ?? .zero)
        }
        guard agreed >= reign.barrier || mutant == .serveBeforeBarrier else { return }
        setCommit(agreed)
        answerWrites()
    }

    /// A member counts once it knows the configuration that makes it count: so one of them can tell a register that was
    /// restored from a backup.
    private func counted(_ other: Progress) -> LogIndex {
        other.version >= configuration.version || mutant == .commitBeforeMembersKnow ? other.match : .zero
    }

    /// Of any set that could have decided something newer, one has answered. A new copy is in none of them, and its word is
    /// the store's; it counts where the register names too few to commit, as a shard's first one may: there is nobody in
    /// such a set but who decided all that is newer. A shard has at least so many copies that its minimum is a majority,
    /// however few are named while one is gone; the minimum may have been raised since this replica began.
    private func confirmRegister(_ reign: inout Reign) {
        let countsNew = configuration.isr.count < configuration.minISR || mutant == .newCopyConfirms
        let old = reign.others.filter { countsNew || !$0.isNew }
        let answered = old.count { $0.reconciled } + 1
        let copies = max(timing.replicas, 2 * configuration.minISR - 1, old.count + 1)
        if answered >= copies - configuration.minISR + 1 { reign.registerConfirmed = true }
    }

    private mutating func answerWrites() {
        guard case .reigning(var reign) = role, serves(reign) else { return }
        let done = reign.writes.prefix { $0.last <= commit }
        guard !done.isEmpty else { return }
        for write in done { effects.append(.answer(write.number, .committed(write.last))) }
        reign.writes.removeFirst(done.count)
        role = .reigning(reign)
    }

    mutating func primaryTick() {
        guard case .reigning(var reign) = role else { return }
        if let since = reign.unconfirmedSince, durable == log.last, time.since(since) >= timing.idleConfirm {
            reign.unconfirmedSince = nil
            role = .reigning(reign)
            if mutant != .noIdleNoop { append(1, .noop) }
        }
        resendSilent()
        sendAppends()
        retryTransaction()
        changeMembers()
        startRound()
        repeatRound()
        advanceCommit()
        readRegisterUnlessServing()
    }

    /// Who could help may have been named since; and where a member that cannot be spared is silent, another primary may
    /// have been chosen whom nobody tells of this one.
    private mutating func readRegisterUnlessServing() {
        guard case .reigning(var reign) = role, !serves(reign) || lacksMember(reign),
            time.since(reign.readAt) >= timing.suspicion / 3
        else { return }
        reign.readAt = time
        role = .reigning(reign)
        effects.append(.readRegister)
    }
}
