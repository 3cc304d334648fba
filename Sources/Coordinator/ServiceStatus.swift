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
        /// Missing where the control plane has no registers of it.
        package var copies: CopiesStatus?
    }
    /// A shard's registers as they stand.
    package struct CopiesStatus: Hashable, Sendable {
        /// Raw values are for people and programs.
        package enum Role: String, Hashable, Sendable {
            case primary
            case inSync = "in-sync"
            /// Receives the log and does not count.
            case learner
        }
        package struct Copy: Hashable, Sendable {
            package var replica: ReplicaID
            /// Missing where the copy has no register of its own.
            package var node: NodeID?
            package var role: Role
        }
        package var generation: Generation
        package var version: UInt64
        package var epoch: Epoch
        /// Copies without which nothing is acknowledged.
        package var minInSync: Int
        /// The primary first, learners last.
        package var copies: [Copy]

        package var inSync: Int { copies.count { $0.role != .learner } }
        package var isDegraded: Bool { inSync < copies.count }

        init(_ copies: ShardCopies) {
            let register = copies.register
            generation = register.generation
            version = register.version
            epoch = register.epoch
            minInSync = register.minInSync
            let others = register.inSync.filter { $0 != register.primary }
            self.copies = ([register.primary] + others + register.learners).map { name in
                Copy(
                    replica: name, node: copies.replicas.first { $0.replica == name }?.node,
                    role: name == register.primary ? .primary : others.contains(name) ? .inSync : .learner)
            }
        }
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

        /// Where copies are missing that should follow: how many shards, and what it means.
        var degradation: String? {
            let degraded = shards.compactMap { shard in shard.copies.flatMap { $0.isDegraded ? $0 : nil } }
            guard let worst = degraded.min(by: { $0.inSync < $1.inSync }) else { return nil }
            let isLeast = worst.inSync <= worst.minInSync
            return "\(degraded.count) of \(shards.count) shards have copies that are not in sync (\(worst.inSync) of "
                + "\(worst.copies.count) are, at worst); nothing that was acknowledged is lost, but "
                + (isLeast ? "no other node of theirs may fail" : "fewer nodes may fail")
                + ": see what keeps their nodes ('facectl shard list')"
        }

        /// Of the shards that answered.
        package var statistics: [ShardStatistics] {
            shards.compactMap { shard in
                if case .success(let statistics) = shard.statistics { statistics } else { nil }
            }
        }
    }
    /// Who is suspended, as this coordinator knows it.
    package struct StandingStatus: Hashable, Sendable {
        /// Since the ledger was asked; missing where it never answered.
        package var age: Duration?
        /// Missing while it is young enough to answer by; else why it is not.
        package var unknown: String?
        package var suspended: [TenantID: Timestamp] = [:]
        package var revokedKeys = 0
    }
    package var nodes: [NodeStatus]
    package var collections: [CollectionStatus]
    package var ledger: LedgerStatus
    package var ledgerShard: ShardID?
    /// Missing where the control plane has no registers of them.
    package var ledgerCopies: CopiesStatus?
    package var standing = StandingStatus()
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
        if let unknown = standing.unknown {
            problems.append("ledger: it does not say who is suspended: \(unknown); every request is refused")
        }
        if let copies = ledgerCopies, copies.isDegraded {
            problems.append("ledger: \(copies.inSync) of \(copies.copies.count) copies are in sync; nothing is lost")
        }
        for node in nodes {
            if case .failure(let error) = node.statistics { problems.append("node \(node.node): \(error.reason)") }
        }
        let silent = Set(nodes.filter(\.isSilent).map(\.node))
        for collection in collections {
            if let reason = collection.unavailable {
                problems.append("collection \(collection.name): \(collection.missing(on: silent) ?? reason)")
            }
            if let degradation = collection.degradation {
                problems.append("collection \(collection.name): \(degradation)")
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
        let degraded = collections.count { $0.degradation != nil }
        let silent = nodes.count(where: \.isSilent)
        return [
            controlPlane == nil ? nil : "the control plane does not answer",
            controlPlaneStaleness == nil ? nil : "the control plane is not followed closely",
            ledger.refusing == nil ? nil : "the ledger takes no entries; searches are refused",
            standing.unknown == nil ? nil : "the ledger does not say who is suspended; every request is refused",
            silent == 0 ? nil : "\(silent) of \(nodes.count) nodes do not answer",
            unavailable == 0 ? nil : "\(unavailable) of \(collections.count) collections are not whole",
            degraded == 0 ? nil : "\(degraded) of \(collections.count) collections have copies that are not in sync",
            refusing == 0 ? nil : "\(refusing) of \(collections.count) collections refuse writes",
        ].compactMap { $0 }
    }

    /// Searches can be answered, by the shards that are there.
    package var ready: Bool { controlPlane == nil && ledger.refusing == nil && standing.unknown == nil }

    /// Searches can be answered by every shard of every collection. One that only refuses writes does not count.
    package var complete: Bool { ready && collections.allSatisfy { $0.unavailable == nil } }
}
