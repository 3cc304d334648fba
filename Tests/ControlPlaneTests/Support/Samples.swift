import ClusterModel
import FaceModel
import Testing

enum Samples {
    static let time = Timestamp(milliseconds: 1_763_000_000_123)

    /// One of each kind, with values that are hard to write.
    static var everyRegister: [RegisterValue] {
        get throws {
            let name = try #require(CollectionName("mugshots.2026"))
            let key = try #require(AccessKeyID("FCTABCDEFGHIJKLMNOPQ"))
            let uid = CollectionUID(Bits128(high: 1, low: 2))
            let node = try #require(NodeID("node-1"))
            let shard = ShardID(Bits128(high: .max, low: 1))
            let replicas = (1...3).map { ReplicaID(Bits128(high: 0, low: $0)) }
            return [
                .cluster(ClusterRegister(id: Bits128(high: 3, low: 4), formatVersion: 1, ledger: node)),
                try tenant(1),
                .accessKey(
                    AccessKeyRegister(
                        accessKey: key, tenant: .embedded, person: "Ada \"L\" Ö", roles: ["admin", "searcher"],
                        sealedSecret: [0, 255, 7], created: time, revoked: time)),
                .collection(
                    CollectionRegister(
                        tenant: .embedded, name: name, uid: uid, modelName: "m", modelVersion: "1.0", dimension: 128,
                        sealedKey: [9, 8], tags: ["a": "b", "": "ü"], created: time)),
                .map(
                    CollectionMap(
                        collection: uid, version: 3, made: true,
                        shards: [
                            .init(id: ShardID(Bits128(high: 5, low: .max)), node: node, roots: [.root, LeafID(7)])
                        ])),
                .map(
                    CollectionMap(
                        collection: CollectionUID(Bits128(high: 3, low: 4)), version: 4, made: true,
                        shards: [.init(id: shard, node: node, roots: [.root])],
                        divisions: [
                            .init(
                                root: .root, second: LeafID(1),
                                sides: .init(
                                    first: RotatedVector(rotated: (0..<64).map { Float($0) / 7 }),
                                    second: RotatedVector(rotated: (0..<64).map { -Float($0) * 1e-38 })))
                        ])),
                .split(
                    SplitRegister(
                        shard: shard, collection: uid,
                        plan: SplitPlan(
                            first: .init(shard: ShardID(Bits128(high: 1, low: 9)), root: .root),
                            second: .init(shard: ShardID(Bits128(high: 2, low: 9)), root: LeafID(255))),
                        aborting: true, published: true, nodes: [node])),
                .node(
                    NodeRegister(
                        node: node, address: NodeAddress(host: "::1", port: 65_535), zone: "ü 1",
                        capacityBytes: .max, started: time)),
                .incarnation(IncarnationRegister(node: node, incarnation: Incarnation(3))),
                .live(
                    LiveRegister(
                        node: node, incarnation: Incarnation(1 << 40), suspect: [replicas[0], replicas[2]], damaged: [])
                ),
                .replica(
                    ReplicaRegister(
                        shard: shard, replica: replicas[1], node: node, directory: Bits128(high: 7, low: 8),
                        sealedKey: [1, 2])),
                .shard(
                    ShardRegister(
                        shard: shard, generation: Generation(.max), version: 4, epoch: Epoch(9), primary: replicas[1],
                        primaryIncarnation: Incarnation(6), inSync: [replicas[0], replicas[1]], learners: [replicas[2]],
                        minInSync: 2)),
                .controller(ControllerRegister(controller: Bits128(high: .max, low: .max), since: time)),
            ]
        }
    }

    /// Registers that differ in nothing but their number.
    static func tenant(_ number: Int, created: Timestamp = time) throws -> RegisterValue {
        let digits = String(number)
        let id = try #require(TenantID(String(repeating: "0", count: 12 - digits.count) + digits))
        return .tenant(TenantRegister(tenant: id, created: created))
    }
}
