import FaceModel

/// Sending the log to the others, and what they say of it.
extension ReplicaCore {
    /// Sends every other replica what it lacks, as far as its window goes, or a heartbeat if it heard nothing for long.
    mutating func sendAppends() {
        guard case .reigning(var reign) = role else { return }
        for position in reign.others.indices {
            var other = reign.others[position]
            while other.next <= log.last, other.inFlight < timing.appendsInFlight {
                let last = min(log.last, other.next.advanced(by: timing.recordsPerAppend - 1))
                send(append(to: other, through: last, reign), to: other.replica)
                (other.next, other.inFlight, other.sentAt) = (last.next, other.inFlight + 1, time)
            }
            if time.since(other.sentAt) >= timing.heartbeat - 10 {
                send(append(to: other, through: LogIndex(other.next.value - 1), reign), to: other.replica)
                other.sentAt = time
            }
            reign.others[position] = other
        }
        role = .reigning(reign)
    }

    private func append(to other: Progress, through last: LogIndex, _ reign: Reign) -> ReplicaMessage.Body {
        let before = LogIndex(other.next.value - 1)
        let range = LogRange(
            previous: LogPoint(epoch: log.epoch(at: before) ?? Epoch(0), index: before),
            runs: log.runs(after: before, through: last), last: last)
        return .append(
            .init(
                range: range, commit: commit, register: memory.register,
                complete: other.match >= max(commit, reign.barrier) ? other.incarnation : nil))
    }

    /// Whoever left something unanswered gets it again from where it is known to stand.
    mutating func resendSilent() {
        guard case .reigning(var reign) = role else { return }
        for position in reign.others.indices where reign.others[position].inFlight > 0 {
            guard time.since(reign.others[position].answeredAt) >= timing.resend else { continue }
            reign.others[position].inFlight = 0
            reign.others[position].next = max(reign.others[position].match.next, LogIndex(1))
            reign.others[position].answeredAt = time
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
        other.next = max(other.next, other.match.next)
        other.inFlight = max(0, other.inFlight - 1)
        (other.reconciled, other.answeredAt) = (true, time)
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
        (other.match, other.version, other.confirmed) = (.zero, 0, 0)
        return true
    }

    mutating func mismatched(_ replica: ReplicaID, incarnation: Incarnation, hint: LogIndex) {
        guard case .reigning(var reign) = role,
            let position = reign.others.firstIndex(where: { $0.replica == replica })
        else { return }
        var other = reign.others[position]
        guard admit(incarnation, of: &other) else { return }
        // A late word about what was sent before must not set the next record back below what is known to be held; and
        // of several about the same records the first is enough.
        let next = max(min(hint, log.last).next, other.match.next)
        if next < other.next || other.inFlight == 0 { (other.next, other.inFlight) = (next, 0) }
        other.answeredAt = time
        reign.others[position] = other
        role = .reigning(reign)
        sendAppends()
    }

    /// This process slept: the others' silence is its own.
    mutating func forgiveSilence() {
        switch role {
        case .reigning(var reign):
            for position in reign.others.indices {
                reign.others[position].progressAt = time
                reign.others[position].answeredAt = time
            }
            role = .reigning(reign)
        case .following(var following):
            following.heardAt = time
            role = .following(following)
        case .stopped: break
        }
    }
}
