package import AuditLedger
package import ClusterModel
package import FaceModel

/// The whole service on one screen.
package struct ServiceStatus: Sendable {
    package struct CollectionStatus: Sendable {
        package var tenant: TenantID
        package var name: CollectionName
        /// One for each shard that answered.
        package var statistics: [ShardStatistics]
        /// Missing while every shard answers; else what is wrong.
        package var unavailable: String?
    }
    package var collections: [CollectionStatus]
    package var ledger: LedgerStatus
    /// Missing while the control plane answers; else why it does not.
    package var controlPlane: String?
    package var model: FaceModelDescription

    /// What keeps the service from doing all it should; empty when ready.
    package var problems: [String] {
        var problems: [String] = []
        if let controlPlane { problems.append("control plane: \(controlPlane)") }
        if let refusing = ledger.refusing { problems.append("ledger: \(refusing); searches are refused") }
        for collection in collections {
            if let reason = collection.unavailable { problems.append("collection \(collection.name): \(reason)") }
            for shard in collection.statistics {
                if let reason = shard.writesRefused {
                    problems.append("collection \(collection.name): writes are refused: \(reason)")
                }
            }
        }
        return problems
    }

    /// Searches can be answered: a collection that only refuses writes does not count against it.
    package var ready: Bool {
        controlPlane == nil && ledger.refusing == nil && collections.allSatisfy { $0.unavailable == nil }
    }
}

extension FaceIndex {
    package func status() async -> ServiceStatus {
        var status = ServiceStatus(
            collections: [], ledger: await ledger.status(), controlPlane: nil, model: model)
        do throws(CoordinatorError) {
            for register in try await list(.allCollections) {
                guard case .collection(let collection) = register.value else { continue }
                status.collections.append(await self.status(of: collection))
            }
        } catch {
            status.controlPlane = "\(error)"
        }
        return status
    }

    private func status(of collection: CollectionRegister) async -> ServiceStatus.CollectionStatus {
        var status = ServiceStatus.CollectionStatus(
            tenant: collection.tenant, name: collection.name, statistics: [], unavailable: nil)
        do throws(CoordinatorError) {
            let handle = try await handle(collection.name, tenant: collection.tenant)
            for shard in handle.map.shards { status.statistics.append(try await statistics(shard.id)) }
        } catch {
            status.unavailable = "\(error)"
        }
        return status
    }
}
