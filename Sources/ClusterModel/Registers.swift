package import FaceModel

/// An account. Status and quotas live in the ledger.
package struct TenantRegister: Hashable, Sendable {
    package var tenant: TenantID
    package var created: Timestamp
    package init(tenant: TenantID, created: Timestamp) {
        self.tenant = tenant
        self.created = created
    }
}

/// An access key: who may sign requests, for which tenant, as what.
package struct AccessKeyRegister: Hashable, Sendable {
    package var accessKey: AccessKeyID
    package var tenant: TenantID
    /// The person behind the key, as the institution names people; two keys of one person are one person.
    package var person: String
    package var roles: Set<String>
    /// The secret, sealed under the key file (see `KeyHierarchy`).
    package var sealedSecret: [UInt8]
    package var created: Timestamp
    package var revoked: Timestamp?
    package init(
        accessKey: AccessKeyID, tenant: TenantID, person: String, roles: Set<String>, sealedSecret: [UInt8],
        created: Timestamp, revoked: Timestamp?
    ) {
        self.accessKey = accessKey
        self.tenant = tenant
        self.person = person
        self.roles = roles
        self.sealedSecret = sealedSecret
        self.created = created
        self.revoked = revoked
    }
}

/// What a collection is: its model, dimension and sealed key. Its faces are in the shards of its map.
package struct CollectionRegister: Hashable, Sendable {
    package var tenant: TenantID
    package var name: CollectionName
    package var uid: CollectionUID
    package var modelName: String
    package var modelVersion: String
    package var dimension: Int
    package var sealedKey: [UInt8]
    package var tags: [String: String]
    package var created: Timestamp
    package init(
        tenant: TenantID, name: CollectionName, uid: CollectionUID, modelName: String, modelVersion: String,
        dimension: Int, sealedKey: [UInt8], tags: [String: String], created: Timestamp
    ) {
        self.tenant = tenant
        self.name = name
        self.uid = uid
        self.modelName = modelName
        self.modelVersion = modelVersion
        self.dimension = dimension
        self.sealedKey = sealedKey
        self.tags = tags
        self.created = created
    }
}

/// Which shards hold a collection, where each is, and the subtree roots each owns. Rises only by a shard split.
package struct CollectionMap: Hashable, Sendable {
    package struct Shard: Hashable, Sendable {
        package var id: ShardID
        /// The node that was given the shard's first copy. Where its copies are is told by their own registers.
        package var node: NodeID
        package var roots: [LeafID]
        package init(id: ShardID, node: NodeID, roots: [LeafID]) {
            self.id = id
            self.node = node
            self.roots = roots
        }
    }
    /// A root below which the faces were divided between two shards: one has it still, the other has `second`.
    package struct Division: Hashable, Sendable {
        package var root: LeafID
        package var second: LeafID
        package var sides: SplitProgress.Sides
        package init(root: LeafID, second: LeafID, sides: SplitProgress.Sides) {
            self.root = root
            self.second = second
            self.sides = sides
        }
    }
    package var collection: CollectionUID
    package var version: UInt64
    /// False until every shard's files have been made. From then on a shard whose files are missing is a loss, never
    /// an empty shard.
    package var made: Bool
    package var shards: [Shard]
    /// In the order in which they were made: a face's root is found by following them from its anchor.
    package var divisions: [Division]
    package init(
        collection: CollectionUID, version: UInt64, made: Bool, shards: [Shard], divisions: [Division] = []
    ) {
        self.collection = collection
        self.version = version
        self.made = made
        self.shards = shards
        self.divisions = divisions
    }
}

/// The cluster itself: one id for life, and the newest format every member understands.
package struct ClusterRegister: Hashable, Sendable {
    package var id: Bits128
    package var formatVersion: Int
    /// The node that keeps the ledger; missing until one has claimed it, and always when embedded.
    package var ledger: NodeID?
    /// In an embedded server's registers: the name of the cluster that has them now. No server starts on them any more.
    package var movedTo: String?
    package init(id: Bits128, formatVersion: Int, ledger: NodeID? = nil, movedTo: String? = nil) {
        self.id = id
        self.formatVersion = formatVersion
        self.ledger = ledger
        self.movedTo = movedTo
    }
}

/// Where a node listens for other processes of its cluster.
package struct NodeAddress: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int
    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A node as it registered itself at its last start.
package struct NodeRegister: Hashable, Sendable {
    package var node: NodeID
    package var address: NodeAddress
    /// Machines that fail together share a zone.
    package var zone: String
    /// Bytes of memory its shards may take.
    package var capacityBytes: Int
    package var started: Timestamp
    package init(node: NodeID, address: NodeAddress, zone: String, capacityBytes: Int, started: Timestamp) {
        self.node = node
        self.address = address
        self.zone = zone
        self.capacityBytes = capacityBytes
        self.started = started
    }
}
