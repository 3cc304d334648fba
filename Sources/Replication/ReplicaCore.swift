package import FaceModel

/// One replica of a shard: decides what is written, what counts as committed and who is answered. Pure: time, messages
/// and the ends of its effects come in as events, and the driver carries out the effects in order.
///
/// Invariants: epochs only grow, and none is acted on before it is persisted; a record at or below `commit` is never
/// removed; nothing is acknowledged before it is durable here; a primary commits only what every member of its in-sync
/// set, known or proposed, holds durably; a process is primary of an epoch only if it saw that epoch begin.
package struct ReplicaCore {
    enum Role {
        case following(Following)
        case reigning(Reign)
        case stopped
    }

    package let id: ReplicaID
    package let incarnation: Incarnation
    let timing: ReplicaTiming
    let mutant: Mutant?

    package internal(set) var log: LogOutline
    package internal(set) var durable: LogIndex
    package internal(set) var commit: LogIndex = .zero
    package internal(set) var memory: ReplicaMemory
    var role: Role
    var time: Moment
    /// The last epoch in which this process reigned.
    var reignedIn = Epoch(0)
    var synchronizing = false
    var waiting: [WaitingRead] = []
    var view: PrimaryView?
    var poll: Poll?
    var effects: [ReplicaEffect] = []

    /// A replica as it starts. `memory` is what it persisted, or what the register said when it was made empty.
    /// What was applied was committed, so records as far as `applied` are. `time` is of a clock that all cores of one process
    /// share. `mutant` is for the simulation.
    package init(
        id: ReplicaID, incarnation: Incarnation, timing: ReplicaTiming, memory: ReplicaMemory, scanned: ScannedLog,
        applied: LogIndex = .zero, at time: Moment, mutant: Mutant? = nil
    ) {
        self.id = id
        self.incarnation = incarnation
        self.timing = timing
        self.memory = memory
        self.mutant = mutant
        self.time = time
        commit = applied
        log = scanned.outline
        durable = scanned.outline.last
        if scanned.tail == .suspect { self.memory.isSuspect = true }
        if mutant == .suspicionForgotten { self.memory.isSuspect = scanned.tail == .suspect }
        if mutant == .damagedLogStays { self.memory.isSuspect = false }
        let lost = scanned.tail == .lossProven && mutant != .damagedLogStays
        role = lost ? .stopped : .following(Following(heardAt: time))
    }

    package var configuration: ShardConfiguration { memory.register.configuration }
    /// False while the log's end is in doubt and no primary has completed it.
    package var isClean: Bool { !memory.isSuspect }
    package var epoch: Epoch { memory.epoch }

    /// True while this replica believes itself to be the primary.
    package var isPrimary: Bool {
        if case .reigning = role { true } else { false }
    }

    package var isStopped: Bool {
        if case .stopped = role { true } else { false }
    }

    /// True while it may answer: its epoch's first record is committed and no newer register is known.
    package var isServing: Bool {
        if case .reigning(let reign) = role { serves(reign) } else { false }
    }

    /// Whether it needs nobody to answer a strong read: it serves, the in-sync set is this replica only, and no other
    /// set is proposed.
    package var isAlone: Bool {
        if case .reigning(let reign) = role { serves(reign) && required(reign) == [id] } else { false }
    }

    /// The log as far as others may count on it: what is committed, or was acknowledged in this epoch.
    package var promised: LogIndex {
        if case .following(let following) = role { max(commit, following.matched) } else { log.last }
    }

    package mutating func step(_ event: ReplicaEvent, at time: Moment) -> [ReplicaEffect] {
        if case .stopped = role { return refuseStopped(event) }
        let overslept = isOverslept(at: time)
        self.time = max(time, self.time)
        if overslept { forgiveSilence() }
        handle(event)
        defer { effects = [] }
        return effects
    }

    private mutating func handle(_ event: ReplicaEvent) {
        switch event {
        case .tick: tick()
        case .message(let message, let sender): receive(message, from: sender)
        case .durable(let point): becameDurable(point)
        case .logBegins(let first): log.release(before: first)
        case .logFailed: stop(.logFailed)
        case .register(let state): observe(state)
        case .transaction(let transaction, let outcome): transactionEnded(transaction, outcome)
        case .retire(let replica): retire(replica)
        case .write(let number, let records): write(number, records: records)
        case .strongRead(let number): strongRead(number)
        case .sessionRead(let number, let generation, let index): sessionRead(number, generation, index)
        case .boundedRead(let number, let bound): boundedRead(number, bound: bound)
        }
    }

    private mutating func tick() {
        switch role {
        case .following: followerTick()
        case .reigning: primaryTick()
        case .stopped: break
        }
        tickReads()
    }

    private mutating func receive(_ message: ReplicaMessage, from sender: ReplicaID) {
        guard message.generation == configuration.generation else {
            if message.generation > configuration.generation { stop(.generationPassed) }
            return
        }
        if message.epoch < epoch, mutant != .noEpochCheck {
            if case .fenced = message.body { return }
            return send(.fenced, to: sender)
        }
        if message.epoch > epoch { promise(message.epoch) }
        switch message.body {
        case .append(let append): receive(append, of: message.epoch, from: sender)
        case .appended(let match, let version):
            acknowledged(by: sender, incarnation: message.incarnation, match: match, version: version)
        case .mismatch(let hint): mismatched(sender, incarnation: message.incarnation, hint: hint)
        case .copyNeeded(let first): lacks(before: first, of: sender)
        case .fenced: break
        case .confirm(let round): confirm(round, for: sender)
        case .confirmed(let round): confirmed(by: sender, round: round)
        case .poll(let number): answerPoll(number, of: sender)
        case .polled(let number, let commit, let age): polled(number, commit: commit, age: age)
        }
    }

    /// Persists a higher epoch; whoever was primary is so no longer.
    mutating func promise(_ epoch: Epoch) {
        endReign()
        memory.epoch = epoch
        if mutant != .forgetEpoch { effects.append(.persist(memory)) }
        role = .following(Following(heardAt: time))
        effects.append(.readRegister)
    }

    mutating func send(_ body: ReplicaMessage.Body, to replica: ReplicaID) {
        let message = ReplicaMessage(
            generation: configuration.generation, epoch: epoch, incarnation: incarnation, body: body)
        effects.append(.send(message, to: replica))
    }

    mutating func stop(_ reason: StopReason) {
        endReign()
        for read in waiting { effects.append(.answer(read.number, .refused(.notServing))) }
        waiting = []
        role = .stopped
        effects.append(.stop(reason))
    }

    private mutating func refuseStopped(_ event: ReplicaEvent) -> [ReplicaEffect] {
        switch event {
        case .write(let number, _), .strongRead(let number), .sessionRead(let number, _, _),
            .boundedRead(let number, _):
            [.answer(number, .refused(.notServing))]
        case .tick, .message, .durable, .logBegins, .logFailed, .register, .transaction, .retire: []
        }
    }
}
