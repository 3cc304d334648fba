import AuditLedger
import ClusterModel
import FaceModel

extension FaceIndex {
    /// Asks everything in parallel; a node or shard that does not answer within about a second is shown as such.
    package func status() async -> ServiceStatus {
        let scope = ownScope(.milliseconds(Limits.statusDeadlineMilliseconds))
        async let ledger = ledgerStatus(scope)
        async let standing = standingStatus(scope)
        var status = ServiceStatus(
            nodes: [], collections: [],
            ledger: LedgerStatus(treeSize: 0, rootHash: [], verifierKey: "", refusing: nil), controlPlane: nil,
            controlPlaneStaleness: settings.controlPlaneStaleness(), model: model)
        do throws(CoordinatorError) {
            let registers = try await registersForStatus()
            status.ledgerCopies = registers.ledger.flatMap { registers.copies[$0] }.map { .init($0) }
            status.ledgerShard = registers.ledger
            status.nodes = await nodeStatus(registers.nodes, scope)
            status.collections = await collectionStatus(registers, nodes: status.nodes)
        } catch {
            status.controlPlane = "\(error)"
        }
        status.ledger = await ledger
        status.standing = await standing
        return status
    }

    private struct RegistersForStatus: Sendable {
        var nodes: [NodeRegister] = []
        var collections: [CollectionRegister] = []
        var maps: [CollectionUID: (map: CollectionMap, revision: Revision)] = [:]
        var copies: [ShardID: ShardCopies] = [:]
        /// The ledger's shard has the cluster's id.
        var ledger: ShardID?
    }

    private func registersForStatus() async throws(CoordinatorError) -> RegistersForStatus {
        var found = RegistersForStatus()
        if case .cluster(let cluster)? = try await readOrReadFresh(.cluster)?.value {
            found.ledger = ShardID(cluster.id)
        }
        var replicas: [ReplicaID: ReplicaRegister] = [:]
        // Copies before their shards' registers, which name them.
        for family in [RegisterFamily.nodes, .allCollections, .maps, .allReplicas, .shards] {
            for register in try await list(family) {
                switch register.value {
                case .node(let node): found.nodes.append(node)
                case .collection(let collection): found.collections.append(collection)
                case .map(let map): found.maps[map.collection] = (map, register.revision)
                case .replica(let replica): replicas[replica.replica] = replica
                case .shard(let shard):
                    found.copies[shard.shard] = ShardCopies(
                        register: shard, replicas: shard.named.compactMap { replicas[$0] })
                default: continue
                }
            }
        }
        return found
    }

    private func ledgerStatus(_ scope: CallScope) async -> LedgerStatus {
        do throws(LedgerError) {
            return try await ledger.status(scope.ledger)
        } catch {
            return LedgerStatus(treeSize: 0, rootHash: [], verifierKey: "", refusing: error.sentence)
        }
    }

    private func nodeStatus(_ registers: [NodeRegister], _ scope: CallScope) async -> [ServiceStatus.NodeStatus] {
        let nodes = settings.placement == .embedded ? [.embedded] : registers.map(\.node)
        let answers = await statistics(ofNodes: nodes, deadline: scope.deadline)
        return nodes.map { node in
            ServiceStatus.NodeStatus(
                node: node, register: registers.first { $0.node == node },
                statistics: answers[node] ?? .failure(NodeError(node: node, reason: "it was not asked")))
        }
    }

    /// A shard on a node that has just said nothing is not asked again: a stopped node must not hold up the others.
    private func collectionStatus(
        _ registers: RegistersForStatus, nodes: [ServiceStatus.NodeStatus]
    ) async -> [ServiceStatus.CollectionStatus] {
        var silent: [NodeID: String] = [:]
        for node in nodes {
            if case .failure(let error) = node.statistics { silent[node.node] = error.reason }
        }
        let scope = ownScope(.milliseconds(Limits.statusDeadlineMilliseconds))
        return await withTaskGroup(of: (Int, ServiceStatus.CollectionStatus).self) { [silent] group in
            var found: [(Int, ServiceStatus.CollectionStatus)] = []
            for (position, collection) in registers.collections.enumerated() {
                if position >= Limits.backgroundAsksMax, let next = await group.next() { found.append(next) }
                group.addTask {
                    (position, await self.status(of: collection, registers, silent: silent, scope))
                }
            }
            for await next in group { found.append(next) }
            return found.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func status(
        of collection: CollectionRegister, _ registers: RegistersForStatus, silent: [NodeID: String],
        _ scope: CallScope
    ) async -> ServiceStatus.CollectionStatus {
        var status = ServiceStatus.CollectionStatus(tenant: collection.tenant, name: collection.name, shards: [])
        guard let map = registers.maps[collection.uid] else {
            status.unavailable = "it has no map"
            return status
        }
        guard map.map.made else {
            status.unavailable = "its shards are not made yet"
            return status
        }
        do throws(CoordinatorError) {
            let handle = try handle(collection, map.map, revision: map.revision)
            status.shards = await shardStatus(of: handle, silent: silent, scope)
            for index in status.shards.indices {
                status.shards[index].copies = registers.copies[status.shards[index].shard].map { .init($0) }
            }
            status.unavailable = Self.unavailability(of: status.shards)
        } catch {
            status.unavailable = "\(error)"
        }
        return status
    }

    private func shardStatus(
        of handle: CollectionHandle, silent: [NodeID: String], _ scope: CallScope
    ) async -> [ServiceStatus.ShardStatus] {
        let gathering = await gather(
            StatisticsByShard(), from: handle, scope,
            choosing: { map in map.shards.filter { silent[$0.node] == nil } }, againMax: 0, quiet: true
        ) { (_, call) async throws(ShardError) in try await self.shards.statistics(call) }
        let reasons = Dictionary(gathering.missing.map { ($0.shard, $0.reason) }) { first, _ in first }
        return gathering.map.shards.map { shard in
            let statistics: Result<ShardStatistics, ShardError> =
                if let answer = gathering.gathered?.answers[shard.id] {
                    .success(answer)
                } else {
                    .failure(
                        reasons[shard.id]
                            ?? .unreachable(
                                shard.id, node: shard.node, reason: silent[shard.node] ?? "it was not asked",
                                outcomeUnknown: false))
                }
            return ServiceStatus.ShardStatus(shard: shard.id, node: shard.node, statistics: statistics)
        }
    }

    private static func unavailability(of shards: [ServiceStatus.ShardStatus]) -> String? {
        let missing = shards.compactMap { shard -> MissingShard? in
            guard case .failure(let error) = shard.statistics else { return nil }
            return MissingShard(shard: shard.shard, node: shard.node, reason: error)
        }
        guard let first = missing.first else { return nil }
        return missing.count == 1
            ? "\(first)" : "\(missing.count) of \(shards.count) shards do not answer: \(first), and others"
    }
}

private struct StatisticsByShard: ShardGathering {
    var answers: [ShardID: ShardStatistics] = [:]
    mutating func add(_ answer: ShardStatistics, from shard: CollectionMap.Shard) { answers[shard.id] = answer }
}
