import FaceModel

/// Sending the log to the others, and what they say of it.
extension ReplicaCore {
    /// Sends every other replica what it lacks, as far as its window goes, or a heartbeat if it heard nothing for long. One
    /// that is helpless is silent, so that members which reach the store choose another.
    mutating func sendAppends() {
        guard case .reigning(var reign) = role else { return }
        guard !isHelpless(reign) else {
            for position in reign.others.indices { reign.others[position].sentAt = time }
            role = .reigning(reign)
            return
        }
        for position in reign.others.indices {
            var other = reign.others[position]
            while other.next >= log.first, other.next <= log.last, other.inFlight < timing.appendsInFlight,
                !other.isProbed
            {
                let last = min(log.last, other.next.advanced(by: timing.recordsPerAppend - 1))
                send(append(to: other, through: last, reign), to: other.replica)
                if other.inFlight == 0 { other.silentSince = time }
                (other.next, other.inFlight, other.sentAt) = (last.next, other.inFlight + 1, time)
            }
            if time.since(other.sentAt) >= heartbeat(reign) {
                send(heartbeat(to: other, reign), to: other.replica)
                other.sentAt = time
            }
            reign.others[position] = other
        }
        role = .reigning(reign)
    }

    /// Milliseconds between two messages to the same replica.
    func heartbeat(_ reign: Reign) -> Int { isIdle(reign) ? timing.idleHeartbeat : timing.heartbeat }

    /// Nothing was asked for long, and no member lacks anything. That all of it is committed was said in many a
    /// heartbeat since; a learner that lacks records gets them as it answers.
    private func isIdle(_ reign: Reign) -> Bool {
        guard time.since(reign.activeAt) >= timing.idleAfter, reign.pending == nil, reign.round == nil else {
            return false
        }
        return commit == log.last && serves(reign)
    }

    /// Who lacks records that are no longer here hears that instead, until it says that it holds more.
    private func heartbeat(to other: Progress, _ reign: Reign) -> ReplicaMessage.Body {
        guard other.next >= log.first else { return .copyNeeded(first: log.first) }
        return append(to: other, through: LogIndex(other.next.value - 1), reign)
    }

    private func append(to other: Progress, through last: LogIndex, _ reign: Reign) -> ReplicaMessage.Body {
        let before = LogIndex(other.next.value - 1)
        let range = LogRange(
            previous: LogPoint(epoch: log.epoch(at: before) ?? Epoch(0), index: before),
            runs: log.runs(after: before, through: last), last: last)
        return .append(
            .init(
                // That anything is committed tells a new copy that this register is confirmed.
                range: range, commit: reign.registerConfirmed ? commit : .zero, register: memory.register,
                complete: other.match >= max(commit, reign.barrier) ? other.incarnation : nil))
    }

    /// Whoever left something unanswered gets it again from where it is known to stand, once it is heard: a heartbeat
    /// asks for that, and one that is gone costs no more than this.
    mutating func resendSilent() {
        guard case .reigning(var reign) = role else { return }
        for position in reign.others.indices where reign.others[position].inFlight > 0 {
            guard time.since(reign.others[position].silentSince) >= timing.resend else { continue }
            (reign.others[position].inFlight, reign.others[position].isProbed) = (0, true)
            // Where nothing is known to be held it says itself where the logs may agree; they need not reach back to 1.
            if reign.others[position].match > .zero { reign.others[position].next = reign.others[position].match.next }
        }
        role = .reigning(reign)
    }

    mutating func acknowledged(by replica: ReplicaID, incarnation: Incarnation, match: LogIndex, version: UInt64) {
        guard case .reigning(var reign) = role,
            let position = reign.others.firstIndex(where: { $0.replica == replica })
        else { return }
        guard version <= max(configuration.version, reign.pending?.transaction.new.version ?? 0) else {
            return effects.append(.readRegister)
        }
        var other = reign.others[position]
        guard admit(incarnation, of: &other) else { return }
        let held = min(match, log.last)
        if held > other.match || held == log.last { other.progressAt = time }
        other.match = max(other.match, held)
        other.version = max(other.version, version)
        other.isNew = other.version == 0
        other.next = max(other.next, other.match.next)
        other.inFlight = max(0, other.inFlight - 1)
        (other.reconciled, other.silentSince, other.isProbed) = (true, time, false)
        reign.others[position] = other
        role = .reigning(reign)
        advanceCommit()
        changeMembers()
        sendAppends()
    }

    /// What an earlier process of a replica held says nothing of what this one holds. False: the message is of an
    /// earlier one.
    private func admit(_ incarnation: Incarnation, of other: inout Progress) -> Bool {
        guard mutant != .acknowledgementOutlivesIncarnation, other.incarnation != incarnation else { return true }
        if let known = other.incarnation, incarnation < known { return false }
        other.incarnation = incarnation
        (other.match, other.version, other.confirmed, other.isNew) = (.zero, 0, 0, false)
        return true
    }

    mutating func mismatched(_ replica: ReplicaID, incarnation: Incarnation, hint: LogIndex) {
        guard case .reigning(var reign) = role else { return }
        guard let position = reign.others.firstIndex(where: { $0.replica == replica }) else {
            return effects.append(.readRegister)
        }
        var other = reign.others[position]
        guard admit(incarnation, of: &other) else { return }
        // A late word about what was sent before must not set the next record back below what is known to be held; and
        // of several about the same records the first is enough.
        let next = max(min(hint, log.last).next, other.match.next)
        if next < other.next || other.inFlight == 0 { (other.next, other.inFlight) = (next, 0) }
        (other.silentSince, other.isProbed) = (time, false)
        reign.others[position] = other
        role = .reigning(reign)
        sendAppends()
    }
}
