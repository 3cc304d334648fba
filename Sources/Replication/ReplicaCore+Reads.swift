import FaceModel

/// Reads: strong ones by a round of confirmation, the others by what this replica has applied.
extension ReplicaCore {
    mutating func strongRead(_ number: RequestNumber) {
        guard case .reigning(var reign) = role else { return refuse(number, .notPrimary(primaryHint)) }
        guard serves(reign) else { return refuse(number, .notServing) }
        guard reign.queuedReads.count < timing.waitingMax else { return refuse(number, .busy) }
        if mutant == .readWithoutConfirm { return effects.append(.answer(number, .readable(commit))) }
        reign.queuedReads.append(number)
        role = .reigning(reign)
        startRound()
    }

    /// One round serves all reads queued before it; it begins once no other is out.
    mutating func startRound(evenWithoutReads: Bool = false) {
        guard case .reigning(var reign) = role, reign.round == nil, serves(reign),
            evenWithoutReads || !reign.queuedReads.isEmpty
        else { return }
        reign.rounds += 1
        reign.activeAt = time
        reign.round = ConfirmRound(
            number: reign.rounds, startedAt: time, askedAt: time, commit: commit, reads: reign.queuedReads)
        reign.queuedReads = []
        role = .reigning(reign)
        askNewMembers()
        finishRound()
    }

    /// Asks every member that has not confirmed the round, those that joined meanwhile too.
    mutating func askNewMembers() {
        guard case .reigning(let reign) = role, let round = reign.round else { return }
        for replica in required(reign) where replica != id && !hasConfirmed(replica, round, reign) {
            send(.confirm(round: round.number), to: replica)
        }
    }

    /// A question or its answer may have been lost.
    mutating func repeatRound() {
        guard case .reigning(var reign) = role, let round = reign.round,
            time.since(round.askedAt) >= timing.resend
        else { return }
        reign.round?.askedAt = time
        role = .reigning(reign)
        askNewMembers()
    }

    private func hasConfirmed(_ replica: ReplicaID, _ round: ConfirmRound, _ reign: Reign) -> Bool {
        reign.others.contains { $0.replica == replica && $0.confirmed >= round.number }
    }

    mutating func confirmed(by replica: ReplicaID, round: UInt64) {
        guard case .reigning(var reign) = role,
            let position = reign.others.firstIndex(where: { $0.replica == replica })
        else { return }
        reign.others[position].confirmed = max(reign.others[position].confirmed, round)
        role = .reigning(reign)
        finishRound()
    }

    mutating func finishRound() {
        guard case .reigning(var reign) = role, let round = reign.round else { return }
        let asked = required(reign).filter { $0 != id }
        let answered = asked.filter { hasConfirmed($0, round, reign) }
        guard answered.count == asked.count || (mutant == .confirmByOne && !answered.isEmpty) else { return }
        guard serves(reign) else { return }
        for read in round.reads { effects.append(.answer(read, .readable(round.commit))) }
        reign.round = nil
        reign.confirmedAt = round.startedAt
        role = .reigning(reign)
        answerWaiting()
        startRound()
    }

    mutating func sessionRead(_ number: RequestNumber, _ generation: Generation, _ index: LogIndex) {
        guard generation == configuration.generation else { return refuse(number, .otherGeneration) }
        wait(WaitingRead(number: number, level: .session(index), askedAt: time))
    }

    mutating func boundedRead(_ number: RequestNumber, bound: Int) {
        wait(WaitingRead(number: number, level: .bounded(bound), askedAt: time))
    }

    private mutating func wait(_ read: WaitingRead) {
        if canServe(read) { return effects.append(.answer(read.number, .readable(commit))) }
        guard waiting.count < timing.waitingMax else { return refuse(read.number, .busy) }
        waiting.append(read)
        askPrimary()
    }

    private func canServe(_ read: WaitingRead) -> Bool {
        switch read.level {
        case .session(let index):
            return commit >= index || mutant == .sessionIgnoresIndex
        case .bounded(let bound):
            guard let view = currentView, commit >= view.commit else { return false }
            return mutant == .boundIgnoresAge || time.since(view.sure) <= bound
        }
    }

    /// What this replica knows of how far the log is committed: from its own rounds, or by polling the primary.
    private var currentView: PrimaryView? {
        guard case .reigning(let reign) = role else { return view }
        return serves(reign) ? reign.confirmedAt.map { PrimaryView(commit: commit, sure: $0) } : nil
    }

    mutating func answerWaiting() {
        guard !waiting.isEmpty else { return }
        let served = waiting.filter(canServe)
        for read in served { effects.append(.answer(read.number, .readable(commit))) }
        waiting.removeAll { read in served.contains { $0.number == read.number } }
    }

    mutating func tickReads() {
        answerWaiting()
        let late = waiting.filter { time.since($0.askedAt) > timing.readWait }
        for read in late { refuse(read.number, .late) }
        waiting.removeAll { read in late.contains { $0.number == read.number } }
        askPrimary()
    }

    /// Whether a read waits for which an answer of the primary is needed.
    var asksPrimary: Bool {
        waiting.contains { if case .bounded = $0.level { true } else { false } }
    }

    /// Refreshes what a bounded read needs: by a poll at a follower, by a round at the primary.
    private mutating func askPrimary() {
        guard asksPrimary else { return }
        switch role {
        case .reigning: startRound(evenWithoutReads: true)
        case .following(let following):
            guard let primary = following.primary, poll.map({ $0.next(timing) <= time }) ?? true else { return }
            let asked = Poll(number: pollNumber, askedAt: time)
            poll = asked
            send(.poll(asked.number), to: primary)
        case .stopped: break
        }
    }

    /// Says when the question is asked, on the clock of this replica's process: a late answer to another one must not count
    /// for it, though a core before this one asked, which ended when the copy was built anew.
    private var pollNumber: RequestNumber {
        if mutant == .pollNumbersRepeat { return RequestNumber(incarnation.value << 40) }
        return RequestNumber(incarnation.value << 40 | UInt64(time.milliseconds) & ((1 << 40) - 1))
    }

    mutating func answerPoll(_ number: RequestNumber, of replica: ReplicaID) {
        guard case .reigning(let reign) = role, serves(reign) else { return }
        if let confirmedAt = reign.confirmedAt {
            send(.polled(number, commit: commit, age: time.since(confirmedAt)), to: replica)
        }
        startRound(evenWithoutReads: true)
    }

    /// The age is counted from when this replica asked: the answer was on its way for some of that.
    mutating func polled(_ number: RequestNumber, commit: LogIndex, age: Int) {
        guard let asked = poll, asked.number == number else { return }
        poll?.isAnswered = true
        let sure = Moment(milliseconds: asked.askedAt.milliseconds - age)
        if view.map({ $0.sure < sure }) ?? true { view = PrimaryView(commit: commit, sure: sure) }
        answerWaiting()
    }
}
