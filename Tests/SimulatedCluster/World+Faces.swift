import FaceModel
import Replication

/// Writes as the primary of a shard makes them: it decides on what it has applied, and on what it has under way.
extension World {
    func write(_ node: Int) {
        guard let core = nodes[node].core, !isFrozen(node) else { return }
        let number = number(node)
        var batch = FaceBatch()
        for _ in 0..<(1 + random.below(3)) {
            decide(checker.clients.wish(&random, at: now), at: node, into: &batch)
            guard !options.confirmsAnswers else { continue }
            if core.isServing { settle(batch.settled) }
            batch.settled = []
        }
        guard !batch.changes.isEmpty || !batch.settled.isEmpty else { return }
        nodes[node].settled[number.value] = batch.settled
        guard !batch.changes.isEmpty else { return step(node, .strongRead(number)) }
        nodes[node].values[number.value] = batch.changes.map(\.word)
        step(node, .write(number, records: batch.changes.count))
    }

    /// What the wish comes to; nothing where it has to wait.
    private func decide(_ wish: FaceClients.Wish, at node: Int, into batch: inout FaceBatch) {
        let table = nodes[node].table
        let face: SimulatedFace
        var isDelete = false
        switch wish.change {
        case .enrol(let key): face = table.face(of: key)
        case .delete(let known): (face, isDelete) = (known, true)
        }
        let underWay = batch.changes + nodes[node].values.values.joined().compactMap { FaceChange($0) }
        guard !underWay.contains(where: { $0.token == wish.token || $0.face.key == face.key }) else { return }
        if options.mistake != .tokensForgotten, let earlier = table.answer(to: wish.token) {
            let change = FaceChange(isDelete: isDelete, face: earlier, token: wish.token)
            return batch.settled.append(.init(wish: wish, done: change))
        }
        let change = FaceChange(isDelete: isDelete, face: face, token: wish.token)
        // An equal face lives, or there is none to delete: nothing to write.
        if table.holds(face) == isDelete {
            batch.changes.append(change)
        } else {
            batch.settled.append(.init(wish: wish, done: isDelete ? nil : change))
        }
    }

    /// Clients hear what needed no record.
    func settle(_ settlements: [FaceBatch.Settlement]) {
        for settlement in settlements where checker.clients.listens(to: settlement.wish) {
            if let change = settlement.done { resolve(change) } else { checker.clients.gaveUp(settlement.wish.token) }
        }
    }

    /// A client hears that it was done.
    func resolve(_ change: FaceChange) {
        if let text = checker.clients.answered(change, at: now) { fail(text) }
    }

    /// Writes what is applied beside the log, durably: a start begins with it.
    func saveTable(_ node: Int) {
        nodes[node].disk.table = nodes[node].table
        nodes[node].disk.saved = nodes[node].applied
    }
}

/// What some requests come to: records, and answers that need none.
struct FaceBatch {
    struct Settlement {
        let wish: FaceClients.Wish
        /// What the wish comes to; nil where there was nothing to delete.
        let done: FaceChange?
    }
    var changes: [FaceChange] = []
    var settled: [Settlement] = []
}
