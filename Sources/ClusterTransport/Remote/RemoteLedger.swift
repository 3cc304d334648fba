package import AuditLedger
import ClusterModel
package import FaceModel
import Synchronization

/// The cluster's ledger over the wire, at the node of the copy that decides.
///
/// Where there are several copies, a call that one does not answer is made again until its deadline, at whoever decides
/// then: an entry that is asked again stands once.
package final class RemoteLedger: LedgerService {
    /// Where the ledger is asked now.
    package struct Keeper: Hashable, Sendable {
        package var node: NodeID
        /// Those of its other copies, which may decide already where the registers that were read are of the past.
        package var others: [NodeID]
        package init(node: NodeID, others: [NodeID]) {
            self.node = node
            self.others = others
        }

        /// Whom to ask for the `attempt`-th time: the others in turn once the registers were believed long enough.
        fileprivate func node(at attempt: Int) -> NodeID {
            guard attempt >= RemoteLedger.believedMax else { return node }
            let all = others + [node]
            return all[(attempt - RemoteLedger.believedMax) % all.count]
        }
    }

    /// After so long another copy may decide: longer than it takes to leave out one that is away.
    private static let attemptMax = Duration.seconds(2)
    private static let pause = Duration.milliseconds(50)
    /// So often the node that the registers name is asked before its others are.
    private static let believedMax = 4

    private let connections: NodeConnections
    private let keeper: @Sendable () async -> Keeper?
    /// What it said last: it says the rest only where that is not all.
    private let known = Mutex(Standing())

    /// `keeper` names the node of the copy that decides, as the registers have it; nil while none has begun the ledger.
    package init(_ connections: NodeConnections, keeper: @escaping @Sendable () async -> Keeper?) {
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

    package func standing(_ call: LedgerCall) async throws(LedgerError) -> Standing {
        let known = known.withLock { $0 }
        let answer: WireStandingAnswer = try await ask(.standing, call) { wire in
            .with {
                $0.call = wire
                $0.known = known.orders
            } as WireStandingRequest
        }
        let standing = try checked { () throws(BodyError) in try answer.domain(known: known) }
        self.known.withLock { $0 = standing }
        return standing
    }

    private func ask<Request: WireRequest, Answer: WireAnswer>(
        _ method: Method, _ call: LedgerCall, _ message: (WireCall) -> Request
    ) async throws(LedgerError) -> Answer {
        for attempt in 0... {
            guard let keeper = await keeper() else {
                throw .unreachable(reason: "no node has begun the ledger yet")
            }
            do throws(LedgerError) {
                return try await askOnce(keeper, keeper.node(at: attempt), method, call, message)
            } catch {
                guard !keeper.others.isEmpty, error.mayPassElsewhere, ContinuousClock.now + Self.pause < call.deadline
                else {
                    throw error
                }
                // Woken early only where nobody waits for the answer any more.
                guard (try? await Task.sleep(for: Self.pause)) != nil else { throw error }
            }
        }
        preconditionFailure("a range without an end")
    }

    private func askOnce<Request: WireRequest, Answer: WireAnswer>(
        _ keeper: Keeper, _ node: NodeID, _ method: Method, _ call: LedgerCall, _ message: (WireCall) -> Request
    ) async throws(LedgerError) -> Answer {
        let now = ContinuousClock.now
        let deadline = keeper.others.isEmpty ? call.deadline : min(call.deadline, now + Self.attemptMax)
        guard let wire = WireCall(request: call.request, deadline: deadline, now: now) else {
            throw .unreachable(reason: "no time was left to ask node \(node), which keeps it")
        }
        do throws(CallFailure) {
            return try await connections.ask(
                node, method, message(wire), deadline: deadline, shard: ShardID(call.request.bits))
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

extension LedgerError {
    /// Whether another copy may answer, once it decides.
    fileprivate var mayPassElsewhere: Bool {
        switch self {
        case .damaged, .stopped, .unreachable: true
        case .refusing, .suspended, .keyRevoked: false
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
