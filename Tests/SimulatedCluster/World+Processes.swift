import FaceModel
import Replication

/// Machines: how a process starts, hears, and carries out what its core decides.
extension World {
    /// The machine is on, and not an earlier process of it.
    func isAlive(_ node: Int, _ life: Int) -> Bool { nodes[node].up && nodes[node].life == life }

    /// Puts off what meets a stalled process.
    func isStalled(_ node: Int, _ happening: @autoclosure () -> Happening) -> Bool {
        guard nodes[node].stalledUntil > now else { return false }
        queue.add(happening(), at: nodes[node].stalledUntil + 1)
        return true
    }

    /// A start: the register is read and compared with the directory; only then the directory gets a higher
    /// incarnation, and the register after it. Were it raised before, a disk that was rolled back would climb with
    /// every failed start.
    func boot(_ node: Int, _ life: Int) {
        guard isAlive(node, life), nodes[node].core == nil else { return }
        scan(node)
        if nodes[node].disk.lossProven, options.mutant != .damagedLogStays { makeEmpty(node) }
        request(.incarnation(nodes[node].disk.replica), from: node)
        queue.add(.boot(node, life: life), at: now + 150)
    }

    private func compare(_ node: Int, _ registered: UInt64, _ state: RegisterState) {
        let isRaised = nodes[node].raisedInLife == nodes[node].life
        guard nodes[node].disk.incarnation >= registered else { return makeEmpty(node) }
        if isRaised, nodes[node].disk.incarnation == registered { return start(node, state) }
        if !isRaised {
            nodes[node].raisedInLife = nodes[node].life
            nodes[node].disk.incarnation += 1
        }
        request(.start(nodes[node].disk.replica, nodes[node].disk.incarnation, after: registered), from: node)
    }

    /// A new copy, with a new id and nothing in it.
    func makeEmpty(_ node: Int) {
        nodes[node].copies += 1
        note("node \(node) begins copy \(nodes[node].copies)")
        nodes[node].disk = SimulatedDisk(replica: name(node, copy: nodes[node].copies))
        nodes[node].raisedInLife = -1
        nodes[node].backup = nil
    }

    private func start(_ node: Int, _ state: RegisterState) {
        nodes[node].clockStart = random.below(1_000_000)
        let disk = nodes[node].disk
        var memory = disk.memory ?? ReplicaMemory(begin: disk.replica, register: state)
        if disk.torn { memory.isSuspect = true }
        let tail: ScannedLog.Tail = disk.lossProven ? .lossProven : disk.torn ? .suspect : .clean
        nodes[node].disk.torn = false
        nodes[node].disk.lossProven = false
        nodes[node].disk.memory = memory
        nodes[node].disk.durable = disk.records.count
        note("node \(node) starts as \(disk.incarnation), \(disk.records.count) records, \(tail)")
        run(node, memory, tail)
        step(node, .register(state))
        planTick(node)
        queue.add(.duty(node, life: nodes[node].life), at: now + 1)
        report(node)
    }

    /// A core on what is on the disk. What its log no longer holds was applied.
    func run(_ node: Int, _ memory: ReplicaMemory, _ tail: ScannedLog.Tail) {
        let disk = nodes[node].disk
        nodes[node].core = ReplicaCore(
            id: disk.replica, incarnation: Incarnation(disk.incarnation),
            timing: timing,
            memory: memory, scanned: ScannedLog(outline: disk.outline, tail: tail),
            applied: LogIndex(UInt64(disk.saved)), at: clock(node), mutant: options.mutant)
        nodes[node].applied = disk.saved
        nodes[node].table = disk.table
        if checker.digest(after: disk.saved) != disk.table.digest {
            fail("S12 node \(node) begins with another state than \(disk.saved) records make")
        }
        nodes[node].isFetching = false
        (nodes[node].tickAt, nodes[node].election, nodes[node].counted) = (nil, nil, nil)
        nodes[node].halving = nil
        attendSplit(node)
    }

    private var timing: ReplicaTiming {
        var timing = ReplicaTiming(replicas: options.copies)
        if options.pauses { timing.idleAfter = 400 }
        // As the product has it: else the halves of a shard of five could need more copies that are not new than have files.
        if options.splitsShards || options.raisesMinimum { timing.replicas = 1 }
        return timing
    }

    func planTick(_ node: Int) {
        guard let core = nodes[node].core else { return }
        var due = now + 20 + random.below(5)
        if options.wakesWhenAsked {
            guard let asked = core.nextTick else { return }
            due = max(now, asked.milliseconds - nodes[node].clockStart) + 1 + random.below(4)
        }
        guard nodes[node].tickAt.map({ due < $0 }) ?? true else { return }
        nodes[node].tickAt = due
        queue.add(.tick(node, life: nodes[node].life), at: due)
    }

    func tick(_ node: Int, _ life: Int) {
        guard isAlive(node, life), nodes[node].tickAt == now else { return }
        nodes[node].tickAt = max(now, nodes[node].stalledUntil + 1)
        guard !isStalled(node, .tick(node, life: life)) else { return }
        nodes[node].tickAt = nil
        if options.wakesWhenAsked {
            // What it asked for may be over; then it is as if it had not been woken.
            guard let asked = nodes[node].core?.nextTick else { return }
            guard asked <= clock(node) else { return planTick(node) }
        }
        step(node, .tick)
        planTick(node)
    }

    /// What a node does beside its cores.
    func duty(_ node: Int, _ life: Int) {
        guard isAlive(node, life), !isStalled(node, .duty(node, life: life)) else { return }
        queue.add(.duty(node, life: life), at: now + 20 + random.below(5))
        if !options.readsWhenAsked, random.chance(60) { request(.read, from: node) }
        if random.chance(120) { report(node) }
        if options.trimsLogs, random.chance(100) { trim(node) }
        if options.membersElect, has(.wrongSuspicion), random.chance(1), let core = nodes[node].core {
            beginElection(node, of: core.epoch)
        }
    }

    func report(_ node: Int) {
        if let report = reportOf(node) { request(.report(report), from: node) }
    }

    func reportOf(_ node: Int) -> ReplicaReport? {
        guard let core = nodes[node].core, !core.isStopped else { return nil }
        let end = LogPoint(epoch: core.log.epoch(at: core.durable) ?? Epoch(0), index: core.durable)
        return ReplicaReport(
            replica: core.id, incarnation: core.incarnation, isClean: core.isClean, durable: end)
    }

    func deliver(_ message: ReplicaMessage, _ values: [UInt64], from sender: ReplicaID, to receiver: ReplicaID) {
        let node = Self.node(of: receiver)
        guard nodes[node].up, nodes[node].disk.replica == receiver, nodes[node].core != nil,
            !isStalled(node, .deliver(message, values, from: sender, to: receiver))
        else { return }
        step(node, .message(message, from: sender), values: values)
    }

    func synced(_ node: Int, _ life: Int, _ point: LogPoint) {
        guard isAlive(node, life), !isStalled(node, .synced(node, life: life, point)) else { return }
        let reached = Int(point.index.value)
        if reached <= nodes[node].disk.records.count, nodes[node].disk.records[reached - 1].epoch == point.epoch {
            nodes[node].disk.durable = max(nodes[node].disk.durable, reached)
        }
        step(node, .durable(point))
    }

    func receive(_ reply: StoreReply, at node: Int, _ life: Int) {
        guard isAlive(node, life), !isStalled(node, .reply(reply, to: node, life: life)) else { return }
        switch reply {
        case .incarnation(let replica, let value, let state):
            guard nodes[node].core == nil, nodes[node].disk.replica == replica else { return }
            compare(node, value, state)
        case .register(let state): step(node, .register(state))
        case .candidates(let state, let incarnations): decideElection(node, state, incarnations)
        case .transaction(let transaction, let outcome): step(node, .transaction(transaction, outcome))
        }
    }

    /// The machine's own clock; every start begins it somewhere else.
    private func clock(_ node: Int) -> Moment { Moment(milliseconds: now + nodes[node].clockStart) }

    /// One event for a core, and all that follows from it. A crash may come between any two effects.
    func step(_ node: Int, _ event: ReplicaEvent, values: [UInt64] = []) {
        guard nodes[node].core != nil else { return }
        let before = nodes[node].core?.epoch ?? Epoch(0)
        let clock = clock(node)
        let effects = nodes[node].core?.step(event, at: clock) ?? []
        note("node \(node) \(event)")
        digest.mix(node)
        digest.mix(event)
        for effect in effects {
            note("     node \(node) -> \(effect)")
            digest.mix(effect)
            if has(.crashInside), random.chance(1) { return crash(node) }
            perform(effect, at: node, event, values)
            guard nodes[node].core != nil else { return }
        }
        if options.wakesWhenAsked { planTick(node) }
        check(node, epochBefore: before)
    }

    private func perform(_ effect: ReplicaEffect, at node: Int, _ event: ReplicaEvent, _ values: [UInt64]) {
        switch effect {
        case .persist(let memory): nodes[node].disk.memory = memory
        case .truncate(let after): truncate(node, after: Int(after.value))
        case .append(let first, let count, let source): append(first, count, source, at: node, event, values)
        case .synchronize(let point):
            var delay = 1 + random.below(3)
            if has(.slowSync), random.chance(20) { delay += random.below(400) }
            queue.add(.synced(node, life: nodes[node].life, point), at: now + delay)
        case .send(let message, let receiver): send(message, from: node, to: receiver)
        case .apply(let index): apply(node, through: Int(index.value))
        case .answer(let number, let answer): answered(number, answer, by: node)
        case .transact(let transaction): request(.transact(transaction), from: node)
        case .readRegister: request(.read, from: node)
        case .fetchCopy(let source): fetchCopy(node, from: source)
        case .suspectPrimary(let epoch):
            if options.membersElect { beginElection(node, of: epoch) } else { request(.suspect(epoch), from: node) }
        case .stop(let reason): stopped(node, reason)
        }
    }

    private func append(
        _ first: LogIndex, _ count: Int, _ source: ReplicaEffect.Source, at node: Int, _ event: ReplicaEvent,
        _ values: [UInt64]
    ) {
        guard let core = nodes[node].core else { return }
        let disk = nodes[node].disk
        guard Int(first.value) == disk.records.count + 1 else { return fail("S3 node \(node) appends behind a gap") }
        for offset in 0..<count {
            let index = first.advanced(by: offset)
            var (value, epoch) = (UInt64(0), core.epoch)
            switch source {
            case .message:
                guard case .message(let message, _) = event, case .append(let append) = message.body else { return }
                value = values[Int(index.value - append.range.previous.index.value) - 1]
                epoch = append.range.runs.last { $0.first <= index }?.epoch ?? Epoch(0)
                if !checker.wasWritten(value, at: LogPoint(epoch: epoch, index: index)) {
                    return fail("S13 node \(node) is sent a record at \(index) that nobody wrote")
                }
            case .write(let number): value = nodes[node].values[number.value]?[offset] ?? 0
            case .epochStart, .noop: break
            }
            if source != .message { checker.wrote(value, at: LogPoint(epoch: epoch, index: index)) }
            nodes[node].disk.records.append(SimulatedRecord(epoch: epoch, value: value, stamp: disk.durable))
        }
    }

    private func stopped(_ node: Int, _ reason: StopReason) {
        switch reason {
        case .lossProven, .logFailed: nodes[node].disk.lossProven = true
        case .registerIsOlder where wasRestored: break
        default: return fail("node \(node) stopped: \(reason)")
        }
        crash(node)
    }
}
