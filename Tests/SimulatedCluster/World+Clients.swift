import FaceModel
import Replication

/// Clients: they write to whoever believes itself primary, and read at every level.
extension World {
    func client() {
        let pause = options.pauses && random.chance(5) ? 300 + random.below(3_000) : 0
        queue.add(.client, at: now + pause + (faultsOn ? 4 + random.below(24) : 10))
        for node in nodes.indices where nodes[node].up && nodes[node].stalledUntil <= now {
            guard let core = nodes[node].core else { continue }
            if core.isPrimary { askPrimary(node) } else if random.chance(150) { askReplica(node) }
        }
    }

    func number(_ node: Int) -> RequestNumber {
        nodes[node].requests += 1
        return RequestNumber(nodes[node].requests)
    }

    private func askPrimary(_ node: Int) {
        switch random.below(10) {
        case 0...5: write(node)
        case 6...8:
            let number = number(node)
            checker.began(.strong(floor: checker.acknowledged), number, at: node)
            step(node, .strongRead(number))
        default: askReplica(node)
        }
    }

    private func askReplica(_ node: Int) {
        let number = number(node)
        if random.chance(500) {
            let index = checker.acknowledged
            checker.began(.session(index), number, at: node)
            step(node, .sessionRead(number, Generation(0), LogIndex(UInt64(index))))
        } else {
            let bound = 20 + random.below(400)
            checker.began(.bounded(bound), number, at: node)
            step(node, .boundedRead(number, bound: bound))
        }
    }

    func answered(_ number: RequestNumber, _ answer: ReplicaAnswer, by node: Int) {
        defer {
            answerSearch(number, answer, by: node)
            answerSplitStep(number, answer, by: node)
        }
        let settled = nodes[node].settled.removeValue(forKey: number.value) ?? []
        switch answer {
        case .committed(let index):
            acknowledged(number, at: index, by: node)
            settle(settled)
        case .readable(let index):
            checkRead(number, at: Int(index.value), by: node)
            settle(settled)
        case .unknown, .refused:
            checker.forget(number, at: node)
            nodes[node].values[number.value] = nil
        }
    }

    private func acknowledged(_ number: RequestNumber, at index: LogIndex, by node: Int) {
        guard let values = nodes[node].values.removeValue(forKey: number.value) else { return }
        let changes = values.compactMap { FaceChange($0) }
        if !changes.isEmpty { figures.acknowledged += 1 }
        if !faultsOn, !changes.isEmpty { checker.acknowledgedAfterFaults += 1 }
        for (offset, value) in values.enumerated() {
            let place = Int(index.value) - values.count + 1 + offset
            guard let committed = checker.committed(at: place), committed.value == value else {
                return fail("S1 node \(node) acknowledged \(value) at \(place), which is not committed")
            }
        }
        for change in changes { resolve(change) }
        checker.acknowledge(through: Int(index.value), at: now)
    }
}
