import ClusterModel
import Coordinator

/// `GetStatus` and `/readyz`.
extension Shapes {
    static func status(_ status: ServiceStatus) -> JSONValue {
        var ledger: Object = [
            "TreeSize": .number(status.ledger.treeSize), "RootHash": base64(status.ledger.rootHash),
            "VerifierKey": .text(status.ledger.verifierKey),
        ]
        if let copies = status.ledgerCopies { ledger.merge(Self.copies(copies)) { _, new in new } }
        ledger["Shard"] = status.ledgerShard.map { .text($0.description) }
        ledger["Refusing"] = status.ledger.refusing.map { .text($0) }
        return [
            "Ready": .flag(status.ready), "Complete": .flag(status.complete), "Problems": .texts(status.problems),
            "Ledger": .object(ledger), "Standing": standing(status.standing),
            "Model": [
                "Name": .text(status.model.name), "Version": .text(status.model.version),
                "Dimension": .number(status.model.dimension),
            ],
            "Nodes": .list(status.nodes.map(node)), "Collections": .list(status.collections.map(collection)),
        ]
    }

    /// For whoever asks without a key: what is wrong by kind and number, and no name.
    static func readiness(_ status: ServiceStatus) -> JSONValue {
        [
            "live": .flag(true), "ready": .flag(status.ready), "complete": .flag(status.complete),
            "problems": .texts(status.anonymousProblems),
        ]
    }

    private static func standing(_ standing: ServiceStatus.StandingStatus) -> JSONValue {
        var object: Object = [
            "Suspended": .list(
                standing.suspended.sorted { $0.key.text < $1.key.text }.map { tenant, since in
                    ["Tenant": .text(tenant.text), "Since": seconds(since)]
                }),
            "RevokedKeys": .number(standing.revokedKeys),
        ]
        object["AgeMilliseconds"] = standing.age.map { .number(Int($0 / .milliseconds(1))) }
        object["Unknown"] = standing.unknown.map { .text($0) }
        return .object(object)
    }

    private static func node(_ node: ServiceStatus.NodeStatus) -> JSONValue {
        var object: Object = ["Node": .text(node.node.text)]
        if let register = node.register {
            object["Zone"] = .text(register.zone)
            object["Address"] = .text("\(register.address)")
            object["CapacityBytes"] = .number(register.capacityBytes)
        }
        switch node.statistics {
        case .success(let statistics): object["Statistics"] = nodeStatistics(statistics)
        case .failure(let error): object["Unavailable"] = .text(error.reason)
        }
        return .object(object)
    }

    private static func nodeStatistics(_ node: NodeStatistics) -> JSONValue {
        [
            "Version": .text(node.version), "UptimeSeconds": .number(node.uptimeSeconds),
            "Shards": .number(node.shards), "DamagedShards": .number(node.damagedShards), "Faces": .number(node.faces),
            "ResidentBytes": .number(node.residentBytes), "DiskFreeBytes": .number(node.diskFreeBytes),
            "DiskTotalBytes": .number(node.diskTotalBytes),
        ]
    }

    private static func collection(_ collection: ServiceStatus.CollectionStatus) -> JSONValue {
        var object: Object = [
            "CollectionId": .text(collection.name.text), "Tenant": .text(collection.tenant.text),
            "Faces": .number(collection.statistics.reduce(0) { $0 + $1.faces }),
            "Shards": .list(collection.shards.map(shard)),
        ]
        object["Unavailable"] = collection.unavailable.map { .text($0) }
        return .object(object)
    }

    private static func shard(_ shard: ServiceStatus.ShardStatus) -> JSONValue {
        var object: Object = ["Shard": .text(shard.shard.description), "Node": .text(shard.node.text)]
        if let copies = shard.copies { object.merge(Self.copies(copies)) { _, new in new } }
        switch shard.statistics {
        case .success(let statistics):
            object["Faces"] = .number(statistics.faces)
            object["Segments"] = .number(statistics.segments)
            object["BufferedFaces"] = .number(statistics.bufferedFaces)
            object["ResidentBytes"] = .number(statistics.residentBytes)
            object["DiskBytes"] = .number(statistics.diskBytes)
            object["Lsn"] = .number(statistics.lsn.value)
            object["WritesRefused"] = statistics.writesRefused.map { .text($0) }
        case .failure(let error):
            object["Unavailable"] = .text(error.sentence)
        }
        return .object(object)
    }

    /// The shard's registers as they stand.
    private static func copies(_ copies: ServiceStatus.CopiesStatus) -> Object {
        [
            "Generation": .number(Int(copies.generation.value)), "Version": .number(copies.version),
            "Epoch": .number(copies.epoch.value), "MinInSync": .number(copies.minInSync),
            "CopiesInSync": .number(copies.inSync),
            "Copies": .list(
                copies.copies.map { copy in
                    var object: Object = [
                        "Replica": .text(copy.replica.description), "Role": .text(copy.role.rawValue),
                    ]
                    object["Node"] = copy.node.map { .text($0.text) }
                    return .object(object)
                }),
        ]
    }
}
