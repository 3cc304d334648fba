package import ClusterModel
import FaceModel
import Foundation

/// Registers as JSON documents, the same bytes in SQLite and etcd: field names are format, see docs/formats/registers.md.
package enum RegisterCodec {
    package static func encode(_ value: RegisterValue) -> [UInt8] {
        var fields = Fields()
        switch value {
        case .cluster(let cluster):
            fields["id"] = cluster.id.text
            fields["format_version"] = cluster.formatVersion
        case .tenant(let tenant):
            fields["tenant"] = tenant.tenant.text
            fields.put(tenant.created, as: "created_ms")
        case .accessKey(let key):
            encode(key, into: &fields)
        case .collection(let collection):
            encode(collection, into: &fields)
        case .map(let map):
            fields["collection"] = map.collection.description
            fields["version"] = map.version
            fields["shards"] = map.shards.map {
                ["id": $0.id.description, "roots": $0.roots.map(\.value)] as [String: Any]
            }
        }
        return fields.bytes
    }

    package static func decode(_ bytes: [UInt8], key: RegisterKey) throws(ControlPlaneError) -> RegisterValue {
        try decode(bytes, path: key.path)
    }

    /// The kind of register follows from the path.
    package static func decode(_ bytes: [UInt8], path: String) throws(ControlPlaneError) -> RegisterValue {
        let fields = try Fields(bytes, path: path)
        switch path.prefix(while: { $0 != "/" }) {
        case "cluster":
            return .cluster(try ClusterRegister(id: fields.bits("id"), formatVersion: fields.get("format_version")))
        case "tenant":
            return .tenant(try TenantRegister(tenant: fields.name("tenant"), created: fields.time("created_ms")))
        case "key": return .accessKey(try accessKey(fields))
        case "collection": return .collection(try collection(fields))
        case "map": return .map(try map(fields))
        default: throw .unreadable(path: path, reason: "no register of this kind is known to this version")
        }
    }

    private static func encode(_ key: AccessKeyRegister, into fields: inout Fields) {
        fields["access_key"] = key.accessKey.text
        fields["tenant"] = key.tenant.text
        fields["person"] = key.person
        fields["roles"] = key.roles.sorted()
        fields.put(key.sealedSecret, as: "sealed_secret")
        fields.put(key.created, as: "created_ms")
        if let revoked = key.revoked { fields.put(revoked, as: "revoked_ms") }
    }

    private static func accessKey(_ fields: Fields) throws(ControlPlaneError) -> AccessKeyRegister {
        AccessKeyRegister(
            accessKey: try fields.name("access_key"), tenant: try fields.name("tenant"),
            person: try fields.get("person"), roles: Set(try fields.get("roles") as [String]),
            sealedSecret: try fields.data("sealed_secret"), created: try fields.time("created_ms"),
            revoked: fields.has("revoked_ms") ? try fields.time("revoked_ms") : nil)
    }

    private static func encode(_ collection: CollectionRegister, into fields: inout Fields) {
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

    private static func collection(_ fields: Fields) throws(ControlPlaneError) -> CollectionRegister {
        CollectionRegister(
            tenant: try fields.name("tenant"), name: try fields.name("name"),
            uid: CollectionUID(try fields.bits("uid")), modelName: try fields.get("model_name"),
            modelVersion: try fields.get("model_version"), dimension: try fields.get("dimension"),
            sealedKey: try fields.data("sealed_key"), tags: try fields.get("tags"),
            created: try fields.time("created_ms"))
    }

    private static func map(_ fields: Fields) throws(ControlPlaneError) -> CollectionMap {
        var shards: [CollectionMap.Shard] = []
        for shard in try fields.get("shards") as [[String: Any]] {
            guard let id = (shard["id"] as? String).flatMap(ShardID.init(text:)), let roots = shard["roots"] as? [Int]
            else { throw fields.unreadable("shards") }
            shards.append(.init(id: id, roots: roots.map { LeafID(UInt32(clamping: $0)) }))
        }
        return CollectionMap(
            collection: CollectionUID(try fields.bits("collection")),
            version: UInt64(try fields.get("version") as Int), shards: shards)
    }
}

/// A JSON object being written or read, with errors that name the register and the field.
private struct Fields {
    private var object: [String: Any] = [:]
    private var path = ""

    init() {}

    init(_ bytes: [UInt8], path: String) throws(ControlPlaneError) {
        self.path = path
        do {
            guard let object = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
                throw ControlPlaneError.unreadable(path: path, reason: "not a JSON object")
            }
            self.object = object
        } catch let error as ControlPlaneError {
            throw error
        } catch {
            throw .unreadable(path: path, reason: "not JSON")
        }
    }

    subscript(name: String) -> Any? {
        get { object[name] }
        set { object[name] = newValue }
    }

    var bytes: [UInt8] {
        guard let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) else {
            preconditionFailure("a register holds only JSON values")
        }
        return [UInt8](data)
    }

    mutating func put(_ time: Timestamp, as name: String) { object[name] = time.milliseconds }
    mutating func put(_ data: [UInt8], as name: String) { object[name] = Data(data).base64EncodedString() }

    func has(_ name: String) -> Bool { object[name] != nil }

    func get<Value>(_ name: String) throws(ControlPlaneError) -> Value {
        guard let value = object[name] as? Value else { throw unreadable(name) }
        return value
    }

    func name<Name: ClientName>(_ name: String) throws(ControlPlaneError) -> Name {
        guard let value = Name(try get(name)) else { throw unreadable(name) }
        return value
    }

    func bits(_ name: String) throws(ControlPlaneError) -> Bits128 {
        guard let value = Bits128(text: try get(name)) else { throw unreadable(name) }
        return value
    }

    func data(_ name: String) throws(ControlPlaneError) -> [UInt8] {
        guard let value = Data(base64Encoded: try get(name) as String) else { throw unreadable(name) }
        return [UInt8](value)
    }

    func time(_ name: String) throws(ControlPlaneError) -> Timestamp {
        Timestamp(milliseconds: Int64(try get(name) as Int))
    }

    func unreadable(_ name: String) -> ControlPlaneError {
        .unreadable(path: path, reason: "field \(name) is missing or of another type")
    }
}
