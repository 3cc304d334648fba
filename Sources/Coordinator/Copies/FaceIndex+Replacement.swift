import ClusterModel
import FaceModel
import Logging

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
            let lost = try await lostShards(on: node, Set(answered))
            guard let shard = silence.next(of: lost, on: node) else { continue }
            return await replace(shard, on: node, silentFor: limit)
        }
    }

    private func replace(_ shard: ShardID, on node: NodeID, silentFor limit: Duration) async {
        let news: Logger.Message = "a node has been silent for long: its copies are made anew on others"
        if silence.isNews("\(news)", of: node) {
            log.warning(news, metadata: ["node": "\(node)", "seconds": "\(limit.components.seconds)"])
        }
        do throws(CoordinatorError) {
            _ = try await move(find(shard, as: .cluster), from: node, to: nil, ownScope(Self.stepLimit))
        } catch {
            silence.triedInVain(shard, on: node)
            // Where there is no further node, as in a cluster of as many as copies, it is so for each shard and each second.
            guard silence.isNews("\(error)", of: node) else { return }
            log.warning(
                "a copy on a node that is gone cannot be replaced",
                metadata: ["shard": "\(shard)", "node": "\(node)", "reason": "\(error)"])
        }
    }

    /// Shards of faces that have a copy on the node, and whose primaries answer: from them the new ones are built.
    private func lostShards(on node: NodeID, _ answered: Set<NodeID>) async throws(CoordinatorError) -> [ShardID] {
        var lost: [ShardID] = []
        let maps = try await list(.maps).compactMap { if case .map(let map) = $0.value { map } else { nil } }
        let ofFaces = Set(maps.filter(\.made).flatMap(\.shards).map(\.id))
        for register in try await list(.allReplicas) {
            guard case .replica(let copy) = register.value, copy.node == node, ofFaces.contains(copy.shard),
                let copies = try await copies(of: copy.shard), copies.register.named.contains(copy.replica),
                let primary = copies.primaryNode, answered.contains(primary),
                try await readOrReadFresh(.split(copy.shard)) == nil
            else { continue }
            lost.append(copy.shard)
        }
        return lost
    }
}
