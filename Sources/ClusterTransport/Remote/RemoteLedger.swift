package import AuditLedger
import ClusterModel
package import FaceModel

/// The cluster's ledger over the wire, on the node that keeps it.
package final class RemoteLedger: LedgerService {
    private let connections: NodeConnections
    private let keeper: @Sendable () async -> NodeID?

    /// `keeper` names the node that keeps the ledger now; nil while none has claimed it.
    package init(_ connections: NodeConnections, keeper: @escaping @Sendable () async -> NodeID?) {
        self.connections = connections
        self.keeper = keeper
    }

    package func append(_ entry: LedgerEntry, _ call: LedgerCall) async throws(LedgerError) -> UInt64 {
        let answer: WireAppendAnswer = try await ask(.append, call) { WireAppendRequest(entry, $0) }
        return answer.index
    }

    package func record(
        of search: SearchID, tenant: TenantID, _ call: LedgerCall
    ) async throws(LedgerError) -> SearchRecord? {
        let answer: WireRecordAnswer = try await ask(.record, call) { WireRecordRequest(search, tenant: tenant, $0) }
        return try checked { () throws(BodyError) in try answer.domain() }
    }

    package func status(_ call: LedgerCall) async throws(LedgerError) -> LedgerStatus {
        let answer: WireLedgerStatusAnswer = try await ask(.ledgerStatus, call) { wire in
            .with { $0.call = wire } as WireLedgerStatusRequest
        }
        return try checked { () throws(BodyError) in try answer.domain() }
    }

    private func ask<Request: WireRequest, Answer: WireAnswer>(
        _ method: Method, _ call: LedgerCall, _ message: (WireCall) -> Request
    ) async throws(LedgerError) -> Answer {
        guard let node = await keeper() else { throw .unreachable(reason: "no node has claimed the ledger yet") }
        guard let wire = WireCall(request: call.request, deadline: call.deadline, now: .now) else {
            throw .unreachable(reason: "no time was left to ask node \(node), which keeps it")
        }
        do throws(CallFailure) {
            return try await connections.ask(
                node, method, message(wire), deadline: call.deadline, shard: ShardID(call.request.bits))
        } catch {
            throw error.ledgerError(node)
        }
    }

    private func checked<Value>(_ read: () throws(BodyError) -> Value) throws(LedgerError) -> Value {
        do throws(BodyError) {
            return try read()
        } catch {
            throw .unreachable(reason: "the ledger's answer cannot be read (\(error))")
        }
    }
}

extension CallFailure {
    /// What the caller of the ledger is told.
    func ledgerError(_ node: NodeID) -> LedgerError {
        switch self {
        case .failed(.ledger(let error)): error
        case .busy(let reason), .failed(.overloaded(let reason)): .refusing(reason: reason)
        case .unreachable, .deadlineExceeded, .tooLong, .malformed, .failed:
            .unreachable(reason: "node \(node), which keeps it: \(text)")
        }
    }
}
