package import FaceModel

/// Names a register. `path` is the key in the store, the same in SQLite and etcd.
package enum RegisterKey: Hashable, Sendable {
    case cluster
    case tenant(TenantID)
    case accessKey(AccessKeyID)
    case collection(TenantID, CollectionName)
    case map(CollectionUID)

    package var path: String {
        switch self {
        case .cluster: "cluster"
        case .tenant(let tenant): "tenant/\(tenant)"
        case .accessKey(let key): "key/\(key)"
        case .collection(let tenant, let name): "collection/\(tenant)/\(name)"
        case .map(let uid): "map/\(uid)"
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

    package var prefix: String {
        switch self {
        case .tenants: "tenant/"
        case .accessKeys: "key/"
        case .collections(let tenant): "collection/\(tenant)/"
        case .allCollections: "collection/"
        case .maps: "map/"
        }
    }
}

package enum RegisterValue: Hashable, Sendable {
    case cluster(ClusterRegister)
    case tenant(TenantRegister)
    case accessKey(AccessKeyRegister)
    case collection(CollectionRegister)
    case map(CollectionMap)

    package var key: RegisterKey {
        switch self {
        case .cluster: .cluster
        case .tenant(let value): .tenant(value.tenant)
        case .accessKey(let value): .accessKey(value.accessKey)
        case .collection(let value): .collection(value.tenant, value.name)
        case .map(let value): .map(value.collection)
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

/// Writes that happen together or not at all, each only where the register is still at the revision named.
package struct RegisterTransaction: Sendable {
    package enum Change: Sendable {
        case put(RegisterValue, expecting: Revision)
        case delete(RegisterKey, expecting: Revision)
    }
    package var changes: [Change]
    package init(_ changes: [Change]) { self.changes = changes }
}

package enum TransactionOutcome: Hashable, Sendable {
    case committed(Revision)
    /// Nothing was written: this register is not at the revision expected.
    case conflict(RegisterKey)
}

package enum ControlPlaneError: Error, Hashable, Sendable {
    /// The store cannot be reached or written now. `outcomeUnknown`: a transaction may have happened.
    case unavailable(reason: String, outcomeUnknown: Bool)
    /// A register holds bytes this version cannot read.
    case unreadable(path: String, reason: String)
}

/// The small, consistent store that says what exists and who owns it: SQLite when embedded, etcd in a cluster.
package protocol ControlPlane: Sendable {
    func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register?
    func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register]
    func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome
}
