import FaceModel
import Replication

/// Writes as the primary of a shard makes them: it decides on what it has applied, and on what it has under way.
extension World {
    func write(_ node: Int) {
        guard let core = nodes[node].core else { return }
        let number = number(node)
        var changes: [FaceChange] = []
        for _ in 0..<(1 + random.below(3)) {
            let wish = checker.clients.wish(&random, at: now)
            if let change = decide(wish, at: node, beside: changes, answers: core.isServing) { changes.append(change) }
        }
        guard !changes.isEmpty else { return }
        nodes[node].values[number.value] = changes.map(\.word)
        step(node, .write(number, records: changes.count))
    }

    /// The record that carries the wish out; nil where there is nothing to write, or something to wait for.
    private func decide(
        _ wish: FaceClients.Wish, at node: Int, beside changes: [FaceChange], answers: Bool
    ) -> FaceChange? {
        let table = nodes[node].table
        let face: SimulatedFace
        var isDelete = false
        switch wish.change {
        case .enrol(let key): face = table.face(of: key)
        case .delete(let known): (face, isDelete) = (known, true)
        }
        let underWay = changes + nodes[node].values.values.joined().compactMap { FaceChange($0) }
        guard !underWay.contains(where: { $0.token == wish.token || $0.face.key == face.key }) else { return nil }
        if options.mistake != .tokensForgotten, let earlier = table.answer(to: wish.token) {
            if answers { resolve(FaceChange(isDelete: isDelete, face: earlier, token: wish.token)) }
            return nil
        }
        let change = FaceChange(isDelete: isDelete, face: face, token: wish.token)
        guard table.holds(face) != isDelete else { return change }
        // An equal face lives, or there is none to delete: nothing to write.
        if answers { isDelete ? checker.clients.gaveUp(wish.token) : resolve(change) }
        return nil
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
