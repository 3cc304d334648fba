package import AuditLedger
package import ClusterModel
package import FaceModel
package import KeyHierarchy
import Logging
import VectorSearch

/// The coordinator's core: collections, enrolment, search. It holds no durable state of its own.
///
/// Every method may be called from any task at any time. A search's intent is recorded while it runs, its result before
/// it is returned; when the ledger refuses, so does the search.
package final class FaceIndex: Sendable {
    package let extractor: any FaceExtractor
    let controlPlane: any ControlPlane
    let shards: any ShardService
    let ledger: any LedgerService
    let masterKey: MasterKey
    let now: @Sendable () -> Timestamp
    let cache = CollectionCache()
    let log = Logger(label: "facet.coordinator")
    let measures = CoordinatorMetrics()

    package init(
        controlPlane: any ControlPlane, shards: any ShardService, ledger: any LedgerService,
        extractor: any FaceExtractor, masterKey: MasterKey, now: @escaping @Sendable () -> Timestamp
    ) {
        self.controlPlane = controlPlane
        self.shards = shards
        self.ledger = ledger
        self.extractor = extractor
        self.masterKey = masterKey
        self.now = now
    }

    package var model: FaceModelDescription { extractor.model }

    /// Opens every shard of every collection and finishes deletions that a crash cut short. A shard that cannot be
    /// opened is logged and leaves only its collection unavailable.
    package func start() async throws(CoordinatorError) {
        var living: Set<CollectionUID> = []
        for register in try await list(.allCollections) {
            guard case .collection(let collection) = register.value else { continue }
            living.insert(collection.uid)
            do throws(CoordinatorError) {
                _ = try await handle(collection.name, tenant: collection.tenant)
            } catch {
                log.error(
                    "a collection is unavailable",
                    metadata: [
                        "tenant": "\(collection.tenant)", "collection": "\(collection.name)", "error": "\(error)",
                    ])
            }
        }
        for register in try await list(.maps) {
            guard case .map(let map) = register.value, !living.contains(map.collection) else { continue }
            try await finishDeletion(map, revision: register.revision)
        }
    }

    /// The collection as the control plane has it now, with its shards open.
    func handle(_ name: CollectionName, tenant: TenantID) async throws(CoordinatorError) -> CollectionHandle {
        guard let register = try await read(.collection(tenant, name)),
            case .collection(let collection) = register.value
        else { throw .collectionNotFound(name) }
        guard case .map(let map)? = try await read(.map(collection.uid))?.value else {
            throw .keyUnusable(what: "the map of collection \(name) is missing from the control plane")
        }
        let handle = CollectionHandle(
            register: register, map: map, collection: collection, secrets: try secrets(of: collection))
        for shard in map.shards where !cache.isOpen(shard.id) {
            try await open(handle.descriptor(of: shard.id))
        }
        return handle
    }

    func open(_ descriptor: ShardDescriptor) async throws(CoordinatorError) {
        do throws(ShardError) {
            try await shards.open(descriptor)
        } catch {
            throw .shard(error)
        }
        cache.markOpen(descriptor.shard)
    }

    private func secrets(of collection: CollectionRegister) throws(CoordinatorError) -> CollectionSecrets {
        if let secrets = cache.secrets(collection.uid) { return secrets }
        let path = RegisterKey.collection(collection.tenant, collection.name).path
        guard let key = try? masterKey.openCollectionKey(collection.sealedKey, register: path) else {
            throw .keyUnusable(what: "the key of collection \(collection.name) does not open with this key file")
        }
        do throws(VectorError) {
            let secrets = try CollectionSecrets(key: key, dimension: collection.dimension)
            cache.keep(secrets, for: collection.uid)
            return secrets
        } catch {
            throw .vector(index: 0, error)
        }
    }

    func read(_ key: RegisterKey) async throws(CoordinatorError) -> Register? {
        do throws(ControlPlaneError) { return try await controlPlane.read(key) } catch { throw .controlPlane(error) }
    }

    func list(_ family: RegisterFamily) async throws(CoordinatorError) -> [Register] {
        do throws(ControlPlaneError) { return try await controlPlane.list(family) } catch { throw .controlPlane(error) }
    }

    func commit(_ changes: [RegisterTransaction.Change]) async throws(CoordinatorError) -> TransactionOutcome {
        do throws(ControlPlaneError) {
            return try await controlPlane.commit(RegisterTransaction(changes))
        } catch {
            throw .controlPlane(error)
        }
    }
}
