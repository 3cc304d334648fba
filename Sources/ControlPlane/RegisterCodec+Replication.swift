import ClusterModel
import FaceModel

/// The registers of replication.
extension RegisterCodec {
    static func encodeReplication(_ value: RegisterValue, into fields: inout RegisterFields) {
        switch value {
        case .incarnation(let register):
            fields["node"] = register.node.text
            fields["incarnation"] = register.incarnation.value
        case .live(let live):
            fields["node"] = live.node.text
            fields["incarnation"] = live.incarnation.value
            fields["suspect"] = live.suspect.map(\.description)
            fields["damaged"] = live.damaged.map(\.description)
        case .replica(let replica):
            fields["shard"] = replica.shard.description
            fields["replica"] = replica.replica.description
            fields["node"] = replica.node.text
            fields["directory"] = replica.directory.text
            fields.put(replica.sealedKey, as: "sealed_key")
        case .shard(let shard): encode(shard, into: &fields)
        case .controller(let controller):
            fields["controller"] = controller.controller.text
            fields.put(controller.since, as: "since_ms")
        case .cluster, .tenant, .accessKey, .collection, .map, .split, .node:
            preconditionFailure("\(value.key.path) is no register of replication")
        }
    }

    /// Nil when the path names another kind.
    static func replicationValue(
        _ fields: RegisterFields, path: String
    ) throws(ControlPlaneError) -> RegisterValue? {
        switch path.prefix(while: { $0 != "/" }) {
        case "incarnation":
            return .incarnation(
                IncarnationRegister(node: try fields.name("node"), incarnation: try incarnation(fields)))
        case "live":
            return .live(
                LiveRegister(
                    node: try fields.name("node"), incarnation: try incarnation(fields),
                    suspect: try replicas("suspect", in: fields), damaged: try replicas("damaged", in: fields)))
        case "replica":
            return .replica(
                ReplicaRegister(
                    shard: ShardID(try fields.bits("shard")), replica: ReplicaID(try fields.bits("replica")),
                    node: try fields.name("node"), directory: try fields.bits("directory"),
                    sealedKey: try fields.data("sealed_key")))
        case "shard": return .shard(try shard(fields))
        case "controller":
            return .controller(
                ControllerRegister(controller: try fields.bits("controller"), since: try fields.time("since_ms")))
        default: return nil
        }
    }

    private static func encode(_ shard: ShardRegister, into fields: inout RegisterFields) {
        fields["shard"] = shard.shard.description
        fields["generation"] = shard.generation.value
        fields["version"] = shard.version
        fields["epoch"] = shard.epoch.value
        fields["primary"] = shard.primary.description
        fields["primary_incarnation"] = shard.primaryIncarnation.value
        fields["isr"] = shard.inSync.map(\.description)
        fields["learners"] = shard.learners.map(\.description)
        fields["min_isr"] = shard.minInSync
    }

    /// A register that breaks what `ShardRegister` promises is refused: electing by it could lose records.
    private static func shard(_ fields: RegisterFields) throws(ControlPlaneError) -> ShardRegister {
        let inSync = try replicas("isr", in: fields)
        let primary = ReplicaID(try fields.bits("primary"))
        guard inSync.contains(primary) else { throw fields.unreadable("primary") }
        let learners = try replicas("learners", in: fields)
        guard Set(inSync).isDisjoint(with: learners) else { throw fields.unreadable("learners") }
        let minInSync: Int = try fields.get("min_isr")
        guard minInSync >= 1 else { throw fields.unreadable("min_isr") }
        guard let generation = UInt32(exactly: try fields.count("generation")) else {
            throw fields.unreadable("generation")
        }
        return ShardRegister(
            shard: ShardID(try fields.bits("shard")), generation: Generation(generation),
            version: try fields.count("version"), epoch: Epoch(try fields.count("epoch")), primary: primary,
            primaryIncarnation: Incarnation(try fields.count("primary_incarnation")), inSync: inSync,
            learners: learners, minInSync: minInSync)
    }

    private static func incarnation(_ fields: RegisterFields) throws(ControlPlaneError) -> Incarnation {
        Incarnation(try fields.count("incarnation"))
    }

    /// In order, none twice.
    private static func replicas(
        _ name: String, in fields: RegisterFields
    ) throws(ControlPlaneError) -> [ReplicaID] {
        let texts: [String] = try fields.get(name)
        let replicas = texts.compactMap { ReplicaID(text: $0) }
        guard replicas.count == texts.count, zip(replicas, replicas.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw fields.unreadable(name)
        }
        return replicas
    }
}
