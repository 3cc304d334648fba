import FaceModel

/// Receiving the log.
extension ReplicaCore {
    mutating func receive(_ append: ReplicaMessage.Append, of messageEpoch: Epoch, from sender: ReplicaID) {
        guard case .following(var following) = role, isRightful(append.register.configuration) else { return }
        following.primary = sender
        following.heardAt = time
        following.suspectedAt = nil
        role = .following(following)
        learn(append.register)
        if append.commit > .zero { becomeKnowing() }
        if mutant == .truncateToCommit, following.matched == .zero, commit < log.last { truncate(after: commit) }
        guard agrees(with: append.range.previous) else {
            if isCommittedOtherwise(append.range.previous) {
                return stop(.conflictBelowCommit(append.range.previous.index))
            }
            return send(.mismatch(hint: hint(for: append.range.previous)), to: sender)
        }
        guard take(append.range) else { return }
        following.matched = max(following.matched, append.range.last)
        role = .following(following)
        followerCommit(append.commit)
        if append.complete == incarnation { becomeClean() }
        acknowledge()
        synchronize()
    }

    /// The primary's log begins at `first`. What is committed here is equal to it, so a log that is committed as far as
    /// that only has to be compared; else this copy is to be built anew. A member in sync is not: it holds what it
    /// acknowledged, and nothing that is removed from a primary's log is committed without it. So this copy no longer is
    /// one, and does not know it yet, or its log differs behind what is committed: then they agree where the primary's begins.
    mutating func lacks(before first: LogIndex, of sender: ReplicaID) {
        guard case .following(var following) = role, configuration.epoch == epoch, configuration.primary == sender
        else {
            return
        }
        following.primary = sender
        following.heardAt = time
        following.suspectedAt = nil
        role = .following(following)
        if commit.next < first {
            effects.append(configuration.isr.contains(id) ? .readRegister : .fetchCopy(from: sender))
        }
        send(.mismatch(hint: min(log.last, LogIndex(first.value - 1))), to: sender)
    }

    /// Whether a primary on this configuration may write here. A register restored from a backup names a second primary
    /// in an epoch, or one whose members are older than those this replica knows: its log could be short of what is
    /// committed.
    private func isRightful(_ other: ShardConfiguration) -> Bool {
        let known = configuration
        if known.epoch == other.epoch { return known.primary == other.primary }
        return other.version >= known.version || mutant == .followsOldRegister
    }

    private func agrees(with place: LogPoint) -> Bool { log.epoch(at: place.index) == place.epoch }

    /// The primary holds another record where this copy's is committed: a loss was accepted behind it, or a log is not what
    /// it was. Of records that are in the log no more the epoch may not be known, 0.
    private func isCommittedOtherwise(_ place: LogPoint) -> Bool {
        guard place.index <= commit, let own = log.epoch(at: place.index) else { return false }
        return own > Epoch(0) && place.epoch > Epoch(0) && own != place.epoch
    }

    /// Where the logs may agree: before the epoch that is wrong, and not below what is committed.
    private func hint(for place: LogPoint) -> LogIndex {
        guard let own = log.epoch(at: place.index) else { return log.last }
        let begin = log.runs.last { $0.epoch == own }?.first ?? .init(1)
        return max(commit, LogIndex(begin.value - 1))
    }

    /// Makes the log hold what the range holds; false when it must not.
    private mutating func take(_ range: LogRange) -> Bool {
        if let conflict = log.firstConflict(with: range) {
            guard conflict > commit else {
                stop(.conflictBelowCommit(conflict))
                return false
            }
            truncate(after: LogIndex(conflict.value - 1))
        }
        let first = log.last.next
        let count = log.extend(with: range)
        if count > 0 { effects.append(.append(first: first, count: count, .message)) }
        return true
    }

    /// Commit follows the primary's as far as this log is known to be equal and durable.
    private mutating func followerCommit(_ index: LogIndex) {
        guard case .following(var following) = role else { return }
        following.primaryCommit = max(following.primaryCommit, index)
        role = .following(following)
        setCommit(min(following.primaryCommit, following.matched, durable))
    }

    private mutating func acknowledge() {
        guard case .following(let following) = role, let primary = following.primary else { return }
        let held = mutant == .acknowledgeBeforeSync ? following.matched : min(following.matched, durable)
        send(.appended(match: held, version: memory.isNew ? 0 : configuration.version), to: primary)
    }

    mutating func followerDurable() {
        followerCommit(.zero)
        acknowledge()
    }

    mutating func followerTick() {
        guard case .following(var following) = role, nextSuspicion(following) <= time else { return }
        following.suspectedAt = time
        role = .following(following)
        if configuration.isr.contains(id) {
            effects.append(.suspectPrimary(configuration.epoch))
        } else {
            // The primary may not know yet that this copy is to be one.
            send(.mismatch(hint: log.last), to: configuration.primary)
        }
        effects.append(.readRegister)
    }

    /// When a primary that stays unheard is suspected, or suspected again: a process that was chosen and is gone at once.
    func nextSuspicion(_ following: Following) -> Moment {
        let first =
            configuration.primary == id ? following.heardAt : following.heardAt.advanced(by: timing.suspicion + 1)
        return max(first, following.suspectedAt?.advanced(by: timing.suspicion / 3) ?? first)
    }

    mutating func confirm(_ round: UInt64, for sender: ReplicaID) {
        send(.confirmed(round: round), to: sender)
    }
}
