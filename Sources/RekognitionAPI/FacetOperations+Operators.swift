import Coordinator
import FaceModel

/// What operators do: who may use the service, and where copies of shards are.
extension Operation {
    static func suspendTenant(_ call: Call) async throws(APIError) -> Answer {
        try await suspension(call, true)
    }

    static func resumeTenant(_ call: Call) async throws(APIError) -> Answer {
        try await suspension(call, false)
    }

    /// Operators' keys (`TenantID.cluster`) act on every account, others' on their own.
    private static func suspension(_ call: Call, _ suspended: Bool) async throws(APIError) -> Answer {
        let tenant: TenantID = try call.fields.required(
            "Tenant", try call.fields.name("Tenant", allowed: "an account of 12 digits"))
        guard [tenant, .cluster].contains(call.context.tenant) else {
            throw APIError(.accessDenied, "The access key belongs to another account than the resource.")
        }
        let reason: String = try call.fields.required(
            "Reason", try call.fields.text("Reason", length: 1...Limits.orderReasonBytesMax))
        guard reason.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 }) else {
            throw call.fields.invalid("Reason", "must be printable characters")
        }
        let given = try await call.index { (index) throws(CoordinatorError) in
            try await index.setSuspension(of: tenant, to: suspended, reason: reason, in: call.context)
        }
        return Answer([
            "Tenant": .text(tenant.text), "Suspended": .flag(suspended), "OrderId": .text(given.id.description),
            "Leaf": .number(given.leaf),
        ])
    }

    /// Does the next step, and says how far the move is. Without `To` the server chooses the node.
    static func moveCopy(_ call: Call) async throws(APIError) -> Answer {
        let shard: ShardID = try call.fields.required("Shard", try call.fields.id("Shard"))
        let old: NodeID = try call.fields.required("From", try node(call, "From"))
        let new = try node(call, "To")
        let (progress, target) = try await call.index { (index) throws(CoordinatorError) in
            try await index.moveCopy(of: shard, from: old, to: new, in: call.context)
        }
        return Answer(["Progress": .text(progress.rawValue), "To": .text(target.text)])
    }

    /// Does the next step of giving the shard as many copies as are configured, and says how far it is.
    static func replicateShard(_ call: Call) async throws(APIError) -> Answer {
        let shard: ShardID = try call.fields.required("Shard", try call.fields.id("Shard"))
        let report = try await call.index { (index) throws(CoordinatorError) in
            try await index.replicate(shard, in: call.context)
        }
        return Answer([
            "Done": .flag(report.isDone), "Copies": .number(Double(report.copies)),
            "CopiesInSync": .number(Double(report.inSync)), "MinInSync": .number(Double(report.minInSync)),
        ])
    }

    static func resignPrimary(_ call: Call) async throws(APIError) -> Answer {
        let shard: ShardID = try call.fields.required("Shard", try call.fields.id("Shard"))
        try await call.index { (index) throws(CoordinatorError) in
            try await index.resignPrimary(of: shard, in: call.context)
        }
        return Answer([:])
    }

    /// Begins a split, or does its next step, and says how far it is.
    static func splitShard(_ call: Call) async throws(APIError) -> Answer {
        let shard: ShardID = try call.fields.required("Shard", try call.fields.id("Shard"))
        let abort = try call.fields.flag("Abort") ?? false
        let report = try await call.index { (index) throws(CoordinatorError) in
            try await index.splitShard(shard, abort: abort, in: call.context)
        }
        var members: [String: JSONValue] = [
            "Stage": .text(report.stage.rawValue), "Halves": .texts(report.halves.map(\.description)),
        ]
        if let trouble = report.trouble { members["Trouble"] = .text(trouble) }
        return Answer(.object(members))
    }

    private static func node(_ call: Call, _ name: String) throws(APIError) -> NodeID? {
        try call.fields.name(name, allowed: "a node's name")
    }
}
