import FaceModel

/// When a replica wants to be woken, and what it makes of having been woken late.
extension ReplicaCore {
    /// When a `tick` is due if nothing else happens before, on this replica's clock; nil when none would do anything: a
    /// stopped replica, a lone primary whose last batch is proved durable and of which nobody asks anything.
    /// It may be past. Another event may change it: ask again after every one.
    package var nextTick: Moment? {
        let due: [Moment?] =
            switch role {
            case .stopped: []
            // Until it suspects it asks to be woken often enough to notice that it slept.
            case .following(let following):
                [min(nextSuspicion(following), time.advanced(by: timing.progress / 2)), nextAnswer(following)]
            case .reigning(let reign): nextOfStream(reign) + nextOfMembers(reign) + [nextAnswer(reign)]
            }
        return due.compactMap(\.self).min()
    }

    /// Records to prove durable, and messages to send: heartbeats, and again what was not answered.
    private func nextOfStream(_ reign: Reign) -> [Moment?] {
        let proof = durable == log.last ? reign.unconfirmedSince?.advanced(by: timing.idleConfirm) : nil
        // While it is not idle it wants to be woken often; when it becomes so is found then.
        let heartbeats = reign.others.map { $0.sentAt.advanced(by: heartbeat(reign)) }
        let silent = reign.others.filter { $0.inFlight > 0 }.map { $0.silentSince.advanced(by: timing.resend) }
        let transaction = reign.pending?.sentAt.advanced(by: timing.transactionRetry)
        return [proof, heartbeats.min(), silent.min(), transaction]
    }

    /// A member that will be without progress for too long. Whoever is already can only be shrunk away when another has
    /// answered.
    private func nextOfMembers(_ reign: Reign) -> [Moment?] {
        let late = reign.others.map { $0.progressAt.advanced(by: timing.progress + 1) }
        return [late.filter { $0 > time }.min()]
    }

    private func nextAnswer(_ following: Following) -> Moment? {
        guard let late = nextRefusal else { return nil }
        guard asksPrimary, following.primary != nil else { return late }
        return min(late, poll?.next(timing) ?? time)
    }

    private func nextAnswer(_ reign: Reign) -> Moment? {
        let confirm = reign.round?.askedAt.advanced(by: timing.resend)
        let begin = reign.queuedReads.isEmpty ? nil : time
        let poll = asksPrimary ? reign.confirmedAt?.advanced(by: timing.pollAgain) ?? time : nil
        let question = reign.round == nil && serves(reign) ? [begin, poll] : [confirm]
        return (question + [nextRefusal]).compactMap(\.self).min()
    }

    /// When the first of those that wait has waited long enough.
    private var nextRefusal: Moment? { waiting.map { $0.askedAt.advanced(by: timing.readWait + 1) }.min() }

    /// Whether this process, or its machine, stood still: it should have been woken long ago. What others did not send
    /// meanwhile may be waiting behind this event.
    func isOverslept(at time: Moment) -> Bool {
        let slack = timing.progress / 2
        guard time.since(self.time) > slack, let due = nextTick else { return false }
        return time.since(due) > slack
    }

    /// This process slept: the others' silence is its own.
    mutating func forgiveSilence() {
        switch role {
        case .reigning(var reign):
            for position in reign.others.indices {
                reign.others[position].progressAt = time
                reign.others[position].silentSince = time
            }
            role = .reigning(reign)
        case .following(var following):
            following.heardAt = time
            role = .following(following)
        case .stopped: break
        }
    }
}
