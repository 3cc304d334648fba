package import ClusterModel
import FaceModel
import Foundation

/// Registers as JSON documents, the same bytes in SQLite and etcd: field names are format, see docs/formats/registers.md.
package enum RegisterCodec {
    package static func encode(_ value: RegisterValue) -> [UInt8] {
        var fields = RegisterFields()
        switch value {
        case .cluster(let cluster):
            fields["id"] = cluster.id.text
            fields["format_version"] = cluster.formatVersion
            if let ledger = cluster.ledger { fields["ledger"] = ledger.text }
            if let name = cluster.movedTo { fields["moved_to"] = name }
        case .tenant(let tenant):
            fields["tenant"] = tenant.tenant.text
            fields.put(tenant.created, as: "created_ms")
        case .accessKey(let key):
            encode(key, into: &fields)
        case .collection(let collection):
            encode(collection, into: &fields)
        case .map(let map):
            encode(map, into: &fields)
        case .split(let split):
            encode(split, into: &fields)
        case .node(let node):
            encode(node, into: &fields)
        case .incarnation, .live, .replica, .shard, .controller:
            encodeReplication(value, into: &fields)
        }
        return fields.bytes
    }

    package static func decode(_ bytes: [UInt8], key: RegisterKey) throws(ControlPlaneError) -> RegisterValue {
        try decode(bytes, path: key.path)
    }

    /// The kind of register follows from the path. A register that says it is another than the path says is refused.
    package static func decode(_ bytes: [UInt8], path: String) throws(ControlPlaneError) -> RegisterValue {
        let value = try value(bytes, path: path)
        guard value.key.path == path else {
            throw .unreadable(path: path, reason: "it holds the register \(value.key.path)")
        }
        return value
    }

    private static func value(_ bytes: [UInt8], path: String) throws(ControlPlaneError) -> RegisterValue {
        let fields = try RegisterFields(bytes, path: path)
        switch path.prefix(while: { $0 != "/" }) {
        case "cluster":
            return .cluster(
                try ClusterRegister(
                    id: fields.bits("id"), formatVersion: fields.get("format_version"),
                    ledger: fields.has("ledger") ? fields.name("ledger") : nil,
                    movedTo: fields.has("moved_to") ? fields.get("moved_to") : nil))
        case "tenant":
            return .tenant(try TenantRegister(tenant: fields.name("tenant"), created: fields.time("created_ms")))
        case "key": return .accessKey(try accessKey(fields))
        case "collection": return .collection(try collection(fields))
        case "map": return .map(try map(fields))
        case "split": return .split(try split(fields))
        case "nodes": return .node(try node(fields))
        default:
            if let value = try replicationValue(fields, path: path) { return value }
            throw .unreadable(path: path, reason: "no register of this kind is known to this version")
        }
    }

    private static func encode(_ key: AccessKeyRegister, into fields: inout RegisterFields) {
        fields["access_key"] = key.accessKey.text
        fields["tenant"] = key.tenant.text
        fields["person"] = key.person
        fields["roles"] = key.roles.sorted()
        fields.put(key.sealedSecret, as: "sealed_secret")
        fields.put(key.created, as: "created_ms")
        if let revoked = key.revoked { fields.put(revoked, as: "revoked_ms") }
    }

    private static func accessKey(_ fields: RegisterFields) throws(ControlPlaneError) -> AccessKeyRegister {
        AccessKeyRegister(
            accessKey: try fields.name("access_key"), tenant: try fields.name("tenant"),
            person: try fields.get("person"), roles: Set(try fields.get("roles") as [String]),
            sealedSecret: try fields.data("sealed_secret"), created: try fields.time("created_ms"),
            revoked: fields.has("revoked_ms") ? try fields.time("revoked_ms") : nil)
    }

    private static func encode(_ collection: CollectionRegister, into fields: inout RegisterFields) {
        fields["tenant"] = collection.tenant.text
        fields["name"] = collection.name.text
        fields["uid"] = collection.uid.description
        fields["model_name"] = collection.modelName
        fields["model_version"] = collection.modelVersion
        fields["dimension"] = collection.dimension
        fields.put(collection.sealedKey, as: "sealed_key")
        fields["tags"] = collection.tags
        fields.put(collection.created, as: "created_ms")
    }

    private static func collection(_ fields: RegisterFields) throws(ControlPlaneError) -> CollectionRegister {
        CollectionRegister(
            tenant: try fields.name("tenant"), name: try fields.name("name"),
            uid: CollectionUID(try fields.bits("uid")), modelName: try fields.get("model_name"),
            modelVersion: try fields.get("model_version"), dimension: try fields.get("dimension"),
            sealedKey: try fields.data("sealed_key"), tags: try fields.get("tags"),
            created: try fields.time("created_ms"))
    }

    private static func encode(_ node: NodeRegister, into fields: inout RegisterFields) {
        fields["node"] = node.node.text
        fields["host"] = node.address.host
        fields["port"] = node.address.port
        fields["zone"] = node.zone
        fields["capacity_bytes"] = node.capacityBytes
        fields.put(node.started, as: "started_ms")
    }

    private static func node(_ fields: RegisterFields) throws(ControlPlaneError) -> NodeRegister {
        NodeRegister(
            node: try fields.name("node"),
            address: NodeAddress(host: try fields.get("host"), port: try fields.get("port")),
            zone: try fields.get("zone"), capacityBytes: try fields.get("capacity_bytes"),
            started: try fields.time("started_ms"))
    }
}
