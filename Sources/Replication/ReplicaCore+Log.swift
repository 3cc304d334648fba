import FaceModel

/// The log, its sync and the commit index: the same for every role.
extension ReplicaCore {
    /// Adds records of this epoch to the log.
    mutating func append(_ count: Int, _ source: ReplicaEffect.Source) {
        effects.append(.append(first: log.last.next, count: count, source))
        log.append(count, of: epoch)
        synchronize()
    }

    /// Starts a sync of all that is written, unless one is out: what is written meanwhile goes with the next.
    mutating func synchronize() {
        guard !synchronizing, durable < log.last else { return }
        synchronizing = true
        effects.append(.synchronize(log.end))
    }

    mutating func becameDurable(_ point: LogPoint) {
        synchronizing = false
        // What was cut off meanwhile says nothing about what stands there now.
        if point.index > durable, log.epoch(at: point.index) == point.epoch { durable = point.index }
        switch role {
        case .following: followerDurable()
        case .reigning: advanceCommit()
        case .stopped: break
        }
        synchronize()
    }

    mutating func truncate(after index: LogIndex) {
        log.truncate(after: index)
        if mutant != .durableSurvivesTruncation { durable = min(durable, index) }
        effects.append(.truncate(after: index))
    }

    mutating func setCommit(_ index: LogIndex) {
        guard index > commit else { return }
        commit = index
        effects.append(.apply(through: index))
        answerWaiting()
    }
}
