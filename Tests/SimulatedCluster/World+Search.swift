import FaceModel
import Replication

/// What a copy says to a search.
enum SimulatedAnswer: Hashable {
    /// In no order.
    case faces([SimulatedFace])
    case refused(ReplicaAnswer.Refusal)
    /// The shard was released to its halves.
    case wrongOwner
    /// The connection ended, or there is nobody.
    case unreachable
}

/// Exhaustive searches, as a node answers them: a strong read, and then all that it has applied.
extension World {
    func search(_ search: Int, at node: Int) {
        guard nodes[node].up, let core = nodes[node].core else { return answers.append((search, .unreachable)) }
        guard !isStalled(node, .search(search, at: node)) else { return }
        let isAnswered =
            options.mistake == .searchAnywhere || options.mistake == .searchUnconfirmed && core.isPrimary
        guard !isAnswered else { return answers.append((search, .faces(faces(node)))) }
        let number = number(node)
        nodes[node].searches[number.value] = search
        checker.began(.strong(floor: checker.acknowledged), number, at: node)
        step(node, .strongRead(number))
    }

    func answerSearch(_ number: RequestNumber, _ answer: ReplicaAnswer, by node: Int) {
        guard let search = nodes[node].searches.removeValue(forKey: number.value) else { return }
        switch answer {
        case .readable: answers.append((search, owns(node) ? .faces(faces(node)) : .wrongOwner))
        case .refused(let refusal): answers.append((search, .refused(refusal)))
        case .committed, .unknown: answers.append((search, .unreachable))
        }
    }

    /// Whoever waits for this process waits no more.
    func endAsks(_ node: Int) {
        endSplitSteps(node)
        for number in nodes[node].searches.keys.sorted() {
            nodes[node].searches[number].map { answers.append(($0, .unreachable)) }
        }
        nodes[node].searches = [:]
    }

    private func faces(_ node: Int) -> [SimulatedFace] {
        nodes[node].table.live.sorted { $0.key < $1.key }.map { SimulatedFace(key: $0.key, turn: $0.value) }
    }

    /// S8 and S15 for one shard's part of an answer to a search that began at `start`.
    func checkFound(_ found: Set<SimulatedFace>, since start: Int) {
        let wrong = checker.clients.lives.compactMap { face, life -> String? in
            if let deletedAt = life.deletedAt, deletedAt < start, found.contains(face) {
                return "S8 \(face) was deleted at \(deletedAt), and a search of \(start) returns it"
            }
            guard let enrolledAt = life.enrolledAt, enrolledAt < start, life.deleteAskedAt == nil,
                !found.contains(face)
            else { return nil }
            return "S15 \(face), enrolled at \(enrolledAt), is not found by a search of \(start)"
        }
        wrong.min().map { fail($0) }
    }
}
