package import FaceModel

/// Names a register. `path` is the key in the store, the same in SQLite and etcd.
package enum RegisterKey: Hashable, Sendable {
    case cluster
    case tenant(TenantID)
    case accessKey(AccessKeyID)
    case collection(TenantID, CollectionName)
    case map(CollectionUID)
    case node(NodeID)
    case incarnation(NodeID)
    case live(NodeID)
    case replica(ShardID, ReplicaID)
    case shard(ShardID)
    case split(ShardID)
    case controller

    package var path: String {
        switch self {
        case .cluster: "cluster"
        case .tenant(let tenant): "tenant/\(tenant)"
        case .accessKey(let key): "key/\(key)"
        case .collection(let tenant, let name): "collection/\(tenant)/\(name)"
        case .map(let uid): "map/\(uid)"
        case .node(let node): "nodes/\(node)"
        case .incarnation(let node): "incarnation/\(node)"
        case .live(let node): "live/\(node)"
        case .replica(let shard, let replica): "replica/\(shard)/\(replica)"
        case .shard(let shard): "shard/\(shard)"
        case .split(let shard): "split/\(shard)"
        case .controller: "controller"
        }
    }
}

/// A family of registers, listed in the order of their paths.
package enum RegisterFamily: Hashable, Sendable {
    case tenants
    case accessKeys
    case collections(TenantID)
    case allCollections
    case maps
    case nodes
    case live
    case replicas(ShardID)
    case allReplicas
    case shards
    case splits

    package var prefix: String {
        switch self {
        case .tenants: "tenant/"
        case .accessKeys: "key/"
        case .collections(let tenant): "collection/\(tenant)/"
        case .allCollections: "collection/"
        case .maps: "map/"
        case .nodes: "nodes/"
        case .live: "live/"
        case .replicas(let shard): "replica/\(shard)/"
        case .allReplicas: "replica/"
        case .shards: "shard/"
        case .splits: "split/"
        }
    }
}

package enum RegisterValue: Hashable, Sendable {
    case cluster(ClusterRegister)
    case tenant(TenantRegister)
    case accessKey(AccessKeyRegister)
    case collection(CollectionRegister)
    case map(CollectionMap)
    case node(NodeRegister)
    case incarnation(IncarnationRegister)
    case live(LiveRegister)
    case replica(ReplicaRegister)
    case shard(ShardRegister)
    case split(SplitRegister)
    case controller(ControllerRegister)

    package var key: RegisterKey {
        switch self {
        case .cluster: .cluster
        case .tenant(let value): .tenant(value.tenant)
        case .accessKey(let value): .accessKey(value.accessKey)
        case .collection(let value): .collection(value.tenant, value.name)
        case .map(let value): .map(value.collection)
        case .node(let value): .node(value.node)
        case .incarnation(let value): .incarnation(value.node)
        case .live(let value): .live(value.node)
        case .replica(let value): .replica(value.shard, value.replica)
        case .shard(let value): .shard(value.shard)
        case .split(let value): .split(value.shard)
        case .controller: .controller
        }
    }
}

/// The store's count of changes when a register was last written; etcd's `mod_revision`.
package struct Revision: Hashable, Comparable, Sendable {
    package let value: Int64
    package init(_ value: Int64) { self.value = value }
    /// "The register does not exist": what a transaction that creates one expects.
    package static let absent = Revision(0)
    package static func < (a: Revision, b: Revision) -> Bool { a.value < b.value }
}

package struct Register: Hashable, Sendable {
    package var value: RegisterValue
    package var revision: Revision
    package init(value: RegisterValue, revision: Revision) {
        self.value = value
        self.revision = revision
    }
}

/// A promise to come back: what was put under it goes when it ends.
package struct LeaseID: Hashable, Sendable {
    /// Seconds that a lease may last without being renewed.
    package static let seconds: ClosedRange<Int> = 1...3_600

    package let value: Int64
    package init(_ value: Int64) { self.value = value }
}

/// Writes that happen together or not at all, and only where every register named is still at the revision named.
package struct RegisterTransaction: Sendable {
    package enum Change: Sendable {
        case put(RegisterValue, expecting: Revision)
        case delete(RegisterKey, expecting: Revision)
        /// Not written, but the transaction happens only where it is at that revision.
        case unchanged(RegisterKey, expecting: Revision)
    }
    /// What one transaction may change or compare; etcd takes 128 operations, one of which is the store's own.
    package static let changesMax = 127
    package var changes: [Change]
    /// What is put goes when this lease ends; without one it stays, also where it was under a lease before.
    package var lease: LeaseID?
    package init(_ changes: [Change], under lease: LeaseID? = nil) {
        self.changes = changes
        self.lease = lease
    }
}

package enum TransactionOutcome: Hashable, Sendable {
    case committed(Revision)
    /// Nothing was written: this register is not at the revision expected.
    case conflict(RegisterKey)
    /// Nothing was written: the lease has ended.
    case leaseEnded
}

package enum ControlPlaneError: Error, Hashable, Sendable {
    /// The store cannot be reached or written now. `outcomeUnknown`: a transaction may have happened.
    case unavailable(reason: String, outcomeUnknown: Bool)
    /// A register holds bytes this version cannot read.
    case unreadable(path: String, reason: String)
}

/// A register that is there and that this version cannot read. The others stay usable.
package struct UnreadableRegister: Hashable, Sendable {
    package var path: String
    package var reason: String
    package var revision: Revision
    package init(path: String, reason: String, revision: Revision) {
        self.path = path
        self.reason = reason
        self.revision = revision
    }
}

/// Every register at one moment, in the order of the paths.
package struct RegisterSnapshot: Hashable, Sendable {
    package var registers: [Register]
    package var unreadable: [UnreadableRegister]
    /// Changes after this one are not in the snapshot.
    package var revision: Revision
    package init(registers: [Register], unreadable: [UnreadableRegister] = [], revision: Revision) {
        self.registers = registers
        self.unreadable = unreadable
        self.revision = revision
    }
}

/// What brings a reader from the state it knows to the state at `revision`: one committed transaction, or several
/// joined. Nothing changed says only that nothing was committed since, as of a moment ago.
package struct RegisterChanges: Hashable, Sendable {
    package var put: [Register]
    package var unreadable: [UnreadableRegister]
    /// Paths of the registers that are gone.
    package var deleted: [String]
    package var revision: Revision
    package init(put: [Register], unreadable: [UnreadableRegister] = [], deleted: [String], revision: Revision) {
        self.put = put
        self.unreadable = unreadable
        self.deleted = deleted
        self.revision = revision
    }
}

/// The small, consistent store that says what exists and who owns it: SQLite when embedded, etcd in a cluster.
package protocol ControlPlane: Sendable {
    /// Linearizable: sees every transaction that was committed before the call. From a mirror: sees every transaction
    /// of this process, and others' a moment later.
    func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register?
    /// Linearizable also from a mirror: for a caller whom a node told that its map is old.
    func readFresh(_ key: RegisterKey) async throws(ControlPlaneError) -> Register?
    /// In the order of the paths, as recent as `read`.
    func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register]
    /// At most `RegisterTransaction.changesMax` changes, each of another register.
    func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome
    /// A lease that ends when it was not renewed for that many of `LeaseID.seconds`. It says only that its holder was
    /// there lately: a store may end it late, and a holder that does not know may still be at work.
    func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID
    /// False when it has ended.
    func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool
    /// Ends it now; one that has ended is no error.
    func end(_ lease: LeaseID) async throws(ControlPlaneError)
    func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot
    /// What is committed after `revision`, in order, without gaps, as it comes; survives short failures of the store.
    /// While the store can be asked, an element comes at least every few seconds, if only to say that nothing changed.
    /// Ends with a `ControlPlaneError` when it cannot go on without a gap: take a new snapshot then.
    func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error>
}

extension ControlPlane {
    package func readFresh(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? { try await read(key) }

    /// The cluster that has an embedded server's registers now; nil where they are that server's own.
    package func movedTo() async throws(ControlPlaneError) -> String? {
        guard case .cluster(let cluster)? = try await read(.cluster)?.value else { return nil }
        return cluster.movedTo
    }

    /// The cluster's own register; whoever comes first makes it, with an id for life.
    package func cluster(
        makingWith generator: inout some RandomNumberGenerator
    ) async throws(ControlPlaneError) -> ClusterRegister {
        if case .cluster(let cluster)? = try await read(.cluster)?.value { return cluster }
        let cluster = ClusterRegister(id: .random(using: &generator).stamped(version: 4), formatVersion: 1)
        let outcome = try await commit(RegisterTransaction([.put(.cluster(cluster), expecting: .absent)]))
        guard case .conflict = outcome else { return cluster }
        guard case .cluster(let winner)? = try await read(.cluster)?.value else {
            throw .unreadable(path: RegisterKey.cluster.path, reason: "it was made and is gone again")
        }
        return winner
    }
}
