package import AuditLedger
package import ClusterModel
package import FaceModel

/// The whole service on one screen.
package struct ServiceStatus: Sendable {
    package struct NodeStatus: Sendable {
        package var node: NodeID
        /// Missing for the only node of an embedded server.
        package var register: NodeRegister?
        package var statistics: Result<NodeStatistics, NodeError>

        package var isSilent: Bool {
            if case .failure = statistics { true } else { false }
        }
    }
    package struct ShardStatus: Sendable {
        package var shard: ShardID
        package var node: NodeID
        package var statistics: Result<ShardStatistics, ShardError>
    }
    package struct CollectionStatus: Sendable {
        package var tenant: TenantID
        package var name: CollectionName
        /// In the order of the map; empty where there is no map that can be used.
        package var shards: [ShardStatus]
        /// Missing while every shard answers; else what is wrong.
        package var unavailable: String?

        /// Where only shards of nodes that do not answer are missing: how many. The nodes' own lines say why.
        func missing(on silent: Set<NodeID>) -> String? {
            let missing = shards.filter { if case .failure = $0.statistics { true } else { false } }
            guard !missing.isEmpty, missing.allSatisfy({ silent.contains($0.node) }) else { return nil }
            return "\(missing.count) of \(shards.count) shards are on nodes that do not answer"
        }

        /// Of the shards that answered.
        package var statistics: [ShardStatistics] {
            shards.compactMap { shard in
                if case .success(let statistics) = shard.statistics { statistics } else { nil }
            }
        }
    }
    package var nodes: [NodeStatus]
    package var collections: [CollectionStatus]
    package var ledger: LedgerStatus
    /// Missing while the control plane answers; else why it does not.
    package var controlPlane: String?
    /// Missing while the control plane is followed closely; else how far behind this process may be.
    package var controlPlaneStaleness: String?
    package var model: FaceModelDescription

    /// What keeps the service from doing all it should; empty when ready.
    package var problems: [String] {
        var problems: [String] = []
        if let controlPlane { problems.append("control plane: \(controlPlane)") }
        if let controlPlaneStaleness { problems.append("control plane: \(controlPlaneStaleness)") }
        if let refusing = ledger.refusing { problems.append("ledger: \(refusing); searches are refused") }
        for node in nodes {
            if case .failure(let error) = node.statistics { problems.append("node \(node.node): \(error.reason)") }
        }
        let silent = Set(nodes.filter(\.isSilent).map(\.node))
        for collection in collections {
            if let reason = collection.unavailable {
                problems.append("collection \(collection.name): \(collection.missing(on: silent) ?? reason)")
            }
            for shard in collection.statistics {
                if let reason = shard.writesRefused {
                    problems.append("collection \(collection.name): writes are refused: \(reason)")
                }
            }
        }
        return problems
    }

    /// The same for strangers: by kind and number, without a name.
    package var anonymousProblems: [String] {
        let unavailable = collections.count { $0.unavailable != nil }
        let refusing = collections.count { collection in collection.statistics.contains { $0.writesRefused != nil } }
        let silent = nodes.count(where: \.isSilent)
        return [
            controlPlane == nil ? nil : "the control plane does not answer",
            controlPlaneStaleness == nil ? nil : "the control plane is not followed closely",
            ledger.refusing == nil ? nil : "the ledger takes no entries; searches are refused",
            silent == 0 ? nil : "\(silent) of \(nodes.count) nodes do not answer",
            unavailable == 0 ? nil : "\(unavailable) of \(collections.count) collections are not whole",
            refusing == 0 ? nil : "\(refusing) of \(collections.count) collections refuse writes",
        ].compactMap { $0 }
    }

    /// Searches can be answered, by the shards that are there.
    package var ready: Bool { controlPlane == nil && ledger.refusing == nil }

    /// Searches can be answered by every shard of every collection. One that only refuses writes does not count.
    package var complete: Bool { ready && collections.allSatisfy { $0.unavailable == nil } }
}

extension FaceIndex {
    /// Asks everything in parallel; a node or shard that does not answer within about a second is shown as such.
    package func status() async -> ServiceStatus {
        let scope = ownScope(.milliseconds(Limits.statusDeadlineMilliseconds))
        async let ledger = ledgerStatus(scope)
        var status = ServiceStatus(
            nodes: [], collections: [],
            ledger: LedgerStatus(treeSize: 0, rootHash: [], verifierKey: "", refusing: nil), controlPlane: nil,
            controlPlaneStaleness: settings.controlPlaneStaleness(), model: model)
        do throws(CoordinatorError) {
            let registers = try await registersForStatus()
            status.nodes = await nodeStatus(registers.nodes, scope)
            status.collections = await collectionStatus(registers, nodes: status.nodes)
        } catch {
            status.controlPlane = "\(error)"
        }
        status.ledger = await ledger
        return status
    }

    private struct RegistersForStatus: Sendable {
        var nodes: [NodeRegister] = []
        var collections: [CollectionRegister] = []
        var maps: [CollectionUID: (map: CollectionMap, revision: Revision)] = [:]
    }

    private func registersForStatus() async throws(CoordinatorError) -> RegistersForStatus {
        var found = RegistersForStatus()
        for family in [RegisterFamily.nodes, .allCollections, .maps] {
            for register in try await list(family) {
                switch register.value {
                case .node(let node): found.nodes.append(node)
                case .collection(let collection): found.collections.append(collection)
                case .map(let map): found.maps[map.collection] = (map, register.revision)
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
                let map = registers.maps[collection.uid]
                group.addTask {
                    (position, await self.status(of: collection, map, silent: silent, scope))
                }
            }
            for await next in group { found.append(next) }
            return found.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func status(
        of collection: CollectionRegister, _ map: (map: CollectionMap, revision: Revision)?,
        silent: [NodeID: String], _ scope: CallScope
    ) async -> ServiceStatus.CollectionStatus {
        var status = ServiceStatus.CollectionStatus(tenant: collection.tenant, name: collection.name, shards: [])
        guard let map else {
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
            choosing: { map in map.shards.filter { silent[$0.node] == nil } }, quiet: true
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

extension LedgerError {
    /// What is wrong with the ledger, as the end of a sentence about it.
    package var sentence: String {
        switch self {
        case .refusing(let reason): reason
        case .damaged(let reason): "it is damaged: \(reason)"
        case .stopped(let reason): "it has stopped: \(reason)"
        case .unreachable(let reason): "its node cannot be reached: \(reason)"
        }
    }
}
