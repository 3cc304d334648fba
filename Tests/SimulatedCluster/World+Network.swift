import FaceModel
import Replication

/// The network between machines, and between them and the store.
extension World {
    func send(_ message: ReplicaMessage, from node: Int, to receiver: ReplicaID) {
        var values: [UInt64] = []
        if case .append(let append) = message.body, append.range.last > append.range.previous.index {
            let records = nodes[node].disk.records
            if append.range.previous.index.value + 1 < nodes[node].disk.begin {
                fail("S12 node \(node) sends records that its log does not hold")
            }
            let sent = records[Int(append.range.previous.index.value)..<Int(append.range.last.value)]
            guard verify(sent, of: node) else { return }
            values = sent.map(\.value)
        }
        let happening = Happening.deliver(message, values, from: nodes[node].disk.replica, to: receiver)
        transmit(happening, from: node, to: Self.node(of: receiver))
    }

    func request(_ request: StoreRequest, from node: Int) {
        transmit(.request(request, from: node, life: nodes[node].life), from: node, to: Self.storeMachine)
    }

    func reply(_ reply: StoreReply, to node: Int, _ life: Int) {
        transmit(.reply(reply, to: node, life: life), from: Self.storeMachine, to: node)
    }

    func transmit(_ happening: Happening, from: Int, to: Int) {
        guard !cuts.contains(from * 16 + to) else { return }
        if has(.loss), random.chance(20) { return }
        var delay = 1 + random.below(4)
        if has(.delay), random.chance(30) { delay += random.below(600) }
        queue.add(happening, at: now + delay)
        if has(.duplication), random.chance(15) { queue.add(happening, at: now + delay + random.below(200)) }
    }

    /// A request reaches the store. What its sender's process was is no matter to the store.
    func serve(_ request: StoreRequest, of node: Int, _ life: Int) {
        // The registers of a shard that was split are gone.
        guard !isPublished else { return }
        switch request {
        case .incarnation(let replica):
            reply(.incarnation(replica, store.incarnations[replica]?.value ?? 0, store.state), to: node, life)
        case .start(let replica, let wanted, let known):
            guard store.incarnations[replica]?.value ?? 0 == known else { return }
            store.incarnations[replica] = Incarnation(wanted)
            reply(.incarnation(replica, wanted, store.state), to: node, life)
        case .read: reply(.register(store.state), to: node, life)
        case .transact(let transaction): transact(transaction, of: node, life)
        case .candidates: reply(.candidates(store.state, store.incarnations), to: node, life)
        case .propose(let transaction):
            change(transaction)
            reply(.register(store.state), to: node, life)
        case .suspect(let epoch): store.suspected.insert(epoch)
        case .report(let report): store.reports[report.replica] = (report, now)
        }
    }

    private func transact(_ transaction: RegisterTransaction, of node: Int, _ life: Int) {
        let outcome = change(transaction)
        if has(.unknownOutcome), random.chance(300) {
            return reply(.transaction(transaction, .unknown), to: node, life)
        }
        reply(.transaction(transaction, outcome), to: node, life)
    }

    /// Every change of the register goes through here.
    @discardableResult
    func change(_ transaction: RegisterTransaction) -> TransactionOutcome {
        guard !isPublished else { return .unknown }
        let before = store.state.configuration
        let outcome = store.attempt(transaction)
        guard case .made = outcome else { return outcome }
        note("register \(store.state.configuration)")
        digest.mix(store.state)
        checkTransition(from: before, to: store.state.configuration)
        announceRegister()
        if before.version < store.state.configuration.version { savedConfiguration = before }
        return outcome
    }

    func announceRegister() {
        guard !options.readsWhenAsked else { return }
        for node in nodes.indices { reply(.register(store.state), to: node, nodes[node].life) }
    }
}
