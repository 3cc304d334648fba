import ClusterModel
import FaceModel
import Foundation

/// Which shards hold a collection, and how one becomes two.
extension RegisterCodec {
    static func encode(_ map: CollectionMap, into fields: inout RegisterFields) {
        fields["collection"] = map.collection.description
        fields["version"] = map.version
        fields["made"] = map.made
        fields["shards"] = map.shards.map {
            ["id": $0.id.description, "node": $0.node.text, "roots": $0.roots.map(\.value)] as [String: Any]
        }
        guard !map.divisions.isEmpty else { return }
        fields["divisions"] = map.divisions.map {
            [
                "root": $0.root.value, "second": $0.second.value,
                "sides": [text($0.sides.first), text($0.sides.second)],
            ] as [String: Any]
        }
    }

    /// Maps of the first version have no `made`, and no `node` in a shard: everything lay in one process.
    static func map(_ fields: RegisterFields) throws(ControlPlaneError) -> CollectionMap {
        var shards: [CollectionMap.Shard] = []
        for shard in try fields.get("shards") as [[String: Any]] {
            let node = shard["node"].map { ($0 as? String).flatMap(NodeID.init) } ?? .embedded
            guard let id = (shard["id"] as? String).flatMap(ShardID.init(text:)), let node,
                let roots = shard["roots"] as? [Int]
            else { throw fields.unreadable("shards") }
            let leaves = roots.compactMap { UInt32(exactly: $0) }.map { LeafID($0) }
            guard leaves.count == roots.count else { throw fields.unreadable("shards") }
            shards.append(.init(id: id, node: node, roots: leaves))
        }
        return CollectionMap(
            collection: CollectionUID(try fields.bits("collection")), version: try fields.count("version"),
            made: fields.has("made") ? try fields.get("made") : false, shards: shards,
            divisions: fields.has("divisions") ? try divisions(fields) : [])
    }

    static func encode(_ split: SplitRegister, into fields: inout RegisterFields) {
        fields["shard"] = split.shard.description
        fields["collection"] = split.collection.description
        fields["halves"] = split.plan.halves.map {
            ["id": $0.shard.description, "root": $0.root.value] as [String: Any]
        }
        fields["aborting"] = split.aborting
        fields["published"] = split.published
        fields["nodes"] = split.nodes.map(\.text)
    }

    static func split(_ fields: RegisterFields) throws(ControlPlaneError) -> SplitRegister {
        let halves = try (fields.get("halves") as [[String: Any]]).compactMap { half -> SplitPlan.Half? in
            guard let id = (half["id"] as? String).flatMap(ShardID.init(text:)), let root = leaf(half["root"])
            else { return nil }
            return SplitPlan.Half(shard: id, root: root)
        }
        guard halves.count == 2 else { throw fields.unreadable("halves") }
        let names: [String] = try fields.get("nodes")
        let nodes = names.compactMap { NodeID($0) }
        guard nodes.count == names.count else { throw fields.unreadable("nodes") }
        return SplitRegister(
            shard: ShardID(try fields.bits("shard")), collection: CollectionUID(try fields.bits("collection")),
            plan: SplitPlan(first: halves[0], second: halves[1]), aborting: try fields.get("aborting"),
            published: try fields.get("published"), nodes: nodes)
    }

    private static func divisions(_ fields: RegisterFields) throws(ControlPlaneError) -> [CollectionMap.Division] {
        var divisions: [CollectionMap.Division] = []
        for division in try fields.get("divisions") as [[String: Any]] {
            guard let root = leaf(division["root"]), let second = leaf(division["second"]),
                let sides = (division["sides"] as? [String])?.compactMap(vector), sides.count == 2,
                sides[0].dimension == sides[1].dimension
            else { throw fields.unreadable("divisions") }
            divisions.append(
                .init(root: root, second: second, sides: .init(first: sides[0], second: sides[1])))
        }
        return divisions
    }

    private static func leaf(_ value: Any?) -> LeafID? {
        (value as? Int).flatMap { UInt32(exactly: $0) }.map { LeafID($0) }
    }

    /// Little-endian fp32 in base64.
    private static func text(_ vector: RotatedVector) -> String {
        var data = Data(capacity: 4 * vector.dimension)
        for value in vector.values {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
        }
        return data.base64EncodedString()
    }

    private static func vector(_ text: String) -> RotatedVector? {
        guard let data = Data(base64Encoded: text), data.count.isMultiple(of: 4),
            case let dimension = data.count / 4, Limits.dimensionRange.contains(dimension), dimension.isMultiple(of: 8)
        else { return nil }
        let bytes = [UInt8](data)
        let values = (0..<dimension).map { index in
            Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[4 * index + $1]) << (8 * UInt32($1)) })
        }
        return values.allSatisfy(\.isFinite) ? RotatedVector(rotated: values) : nil
    }
}
