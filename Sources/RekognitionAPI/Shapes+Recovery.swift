import ClusterModel
import Coordinator

/// `RecoverShard` and `RebuildRegisters`.
extension Shapes {
    static func recovery(_ answer: RecoveryAnswer) -> JSONValue {
        [
            "Done": .flag(answer.isDone), "Copy": .text(answer.chosen.copy.replica.description),
            "Node": .text(answer.chosen.node.text), "Generation": .number(Int(answer.register.generation.value)),
            "Epoch": .number(answer.register.epoch.value), "Version": .number(answer.register.version),
            "MinInSync": .number(answer.register.minInSync), "Learners": .number(answer.register.learners.count),
            "Copies": .list(answer.copies.map(copy)),
        ]
    }

    private static func copy(_ copy: RecoveryAnswer.Copy) -> JSONValue {
        var object: Object = ["Replica": .text(copy.replica.description)]
        object["Node"] = copy.node.map { .text($0.text) }
        object["Role"] = copy.role.map { .text($0.rawValue) }
        object["Silence"] = copy.silence.map { .text($0) }
        guard let held = copy.held else { return .object(object) }
        object["LogEnd"] = .number(held.end.value)
        object["LogEndEpoch"] = .number(held.endEpoch.value)
        object["Committed"] = held.committed.map { .number($0.value) }
        switch held.condition {
        case .whole: object["State"] = .text("whole")
        case .suspect: object["State"] = .text("suspect")
        case .lossProven(let first):
            object["State"] = .text("lost")
            object["LostFrom"] = .number(first.value)
        case .unusable(let reason):
            object["State"] = .text("unusable")
            object["Reason"] = .text(reason)
        }
        return .object(object)
    }

    static func rebuild(_ answer: RebuildAnswer) -> JSONValue {
        [
            "Done": .flag(answer.isDone), "Without": .texts(answer.without.map(\.text)),
            "Shards": .list(answer.shards.map(shard)),
        ]
    }

    private static func shard(_ shard: RebuildAnswer.Shard) -> JSONValue {
        var object: Object = ["Shard": .text(shard.shard.description), "Ledger": .flag(shard.isLedger)]
        object["CollectionId"] = shard.collection.map { .text($0.text) }
        object["Tenant"] = shard.tenant.map { .text($0.text) }
        switch shard.outcome {
        case .current: object["Outcome"] = .text("current")
        case .rebuilt(let node, let learners, let generation):
            object["Outcome"] = .text("rebuilt")
            object["Node"] = .text(node.text)
            object["Learners"] = .number(learners)
            object["Generation"] = .number(Int(generation.value))
        case .noMemberLeft: object["Outcome"] = .text("no-member-left")
        case .heldByNobody: object["Outcome"] = .text("held-by-nobody")
        case .inNoMap(let nodes):
            object["Outcome"] = .text("in-no-map")
            object["Nodes"] = .texts(nodes.map(\.text))
        case .contested: object["Outcome"] = .text("contested")
        }
        return .object(object)
    }
}
