import ClusterModel
import FaceModel

/// Copies on nodes that are gone are made anew on others: by the controller, without anybody's asking.
extension FaceIndex {
    private static var probe: Duration { .milliseconds(Limits.statusDeadlineMilliseconds) }

    /// The next step of replacing the copies on a node that has said nothing for as long as is configured; to be called
    /// every second or so.
    ///
    /// It is a move from that node to another (`moveCopy`), one shard at a time, so that what is left of the cluster
    /// goes on serving. The ledger's copies stay: only a person brings its key to another node. A node that comes back
    /// keeps what was not moved yet, and the files of what was.
    package func replaceLostCopies(at now: ContinuousClock.Instant = .now) async throws(CoordinatorError) {
        guard let limit = settings.replacesAfter, settings.placement == .registeredNodes else { return }
        guard try await takesSeat() else { return silence.forget() }
        let nodes = try await list(.nodes).compactMap { register -> NodeID? in
            if case .node(let node) = register.value { node.node } else { nil }
        }
        let answers = await statistics(ofNodes: nodes, deadline: .now + Self.probe)
        let answered = nodes.filter { if case .success? = answers[$0] { true } else { false } }
        silence.note(nodes, answered: Set(answered), at: now)
        for node in silence.silent(for: limit, at: now) {
            guard let shard = try await lostShard(on: node, Set(answered)) else { continue }
            if silence.giveUp(node) {
                log.warning(
                    "a node has been silent for long: its copies are made anew on others",
                    metadata: ["node": "\(node)", "seconds": "\(limit.components.seconds)"])
            }
            do throws(CoordinatorError) {
                let found = try await find(shard, as: .cluster)
                _ = try await move(found, from: node, to: nil, ownScope(Self.stepLimit))
            } catch {
                log.warning(
                    "a copy on a node that is gone cannot be replaced",
                    metadata: ["shard": "\(shard)", "node": "\(node)", "reason": "\(error)"])
            }
            return
        }
    }

    /// A shard of faces that has a copy on the node, and whose primary answers: from it the new one is built.
    private func lostShard(on node: NodeID, _ answered: Set<NodeID>) async throws(CoordinatorError) -> ShardID? {
        let maps = try await list(.maps).compactMap { if case .map(let map) = $0.value { map } else { nil } }
        let ofFaces = Set(maps.filter(\.made).flatMap(\.shards).map(\.id))
        for register in try await list(.allReplicas) {
            guard case .replica(let copy) = register.value, copy.node == node, ofFaces.contains(copy.shard),
                let copies = try await copies(of: copy.shard), copies.register.named.contains(copy.replica),
                let primary = copies.primaryNode, answered.contains(primary),
                try await readOrReadFresh(.split(copy.shard)) == nil
            else { continue }
            return copy.shard
        }
        return nil
    }
}
