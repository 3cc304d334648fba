import AuditLedger
import ClusterModel
import FaceModel
import NIOCore
import Replication

/// Runs one request against the node's services: body in, frame out. Knows nothing of connections.
struct RequestRunner: Sendable {
    let node: NodeID
    let shards: any ShardService
    let ledger: (any LedgerService)?
    let replicas: (any ReplicaHost)?

    /// The frame of the answer or of the failure, and the failure.
    func answer(
        _ method: Method, _ frame: Frame, from role: PeerRole
    ) async -> (frame: ByteBuffer, request: RequestID?, failure: Failure?) {
        var request: RequestID?
        do throws(Failure) {
            guard method.isAllowed(for: role) else {
                throw .forbidden("the role \(role.rawValue) may not ask \(method.label)")
            }
            guard let answer = try await run(method, frame, &request) else {
                throw .unanswerable("the answer is longer than a frame may be")
            }
            return (answer, request, nil)
        } catch {
            return (Self.frame(error, id: frame.id), request, error)
        }
    }

    static func frame(_ failure: Failure, id: UInt64) -> ByteBuffer {
        guard let frame = WireFailure(failure).frame(.error, id: id) else {
            preconditionFailure("a failure's texts are bounded")
        }
        return frame
    }

    private func run(
        _ method: Method, _ frame: Frame, _ request: inout RequestID?
    ) async throws(Failure) -> ByteBuffer? {
        switch method {
        case .append, .record, .ledgerStatus, .standing: try await runLedger(method, frame, &request)
        case .nodeStatistics: try await runNodeStatistics(frame, &request)
        case .heldCopies: try await runHeldCopies(frame, &request)
        case .post, .report, .copy, .chunk, .rows: try await runReplicas(method, frame, &request)
        case .open, .drop, .retire, .split, .enrol, .delete, .search, .buckets, .sample, .faces, .vector, .list,
            .statistics:
            try await runShard(method, frame, &request)
        }
    }

    private func runShard(
        _ method: Method, _ frame: Frame, _ request: inout RequestID?
    ) async throws(Failure) -> ByteBuffer? {
        let (asked, call): (ShardRequest, ShardCall)
        do throws(BodyError) {
            (asked, call) = try Self.shardRequest(method, frame.body, node: node)
        } catch {
            throw .badRequest(error)
        }
        request = call.request
        do throws(ShardError) {
            return try await perform(asked, call, id: frame.id)
        } catch {
            throw .shard(error)
        }
    }

    private func perform(
        _ asked: ShardRequest, _ call: ShardCall, id: UInt64
    ) async throws(ShardError) -> ByteBuffer? {
        switch asked {
        case .open(let descriptor, let mode):
            try await shards.open(descriptor, mode, call)
            return WireOpenAnswer().frame(.response, id: id)
        case .drop:
            try await shards.drop(call)
            return WireDropAnswer().frame(.response, id: id)
        case .retire(let replica):
            try await shards.retire(replica, call)
            return WireRetireAnswer().frame(.response, id: id)
        case .split(let step):
            return WireSplitAnswer(try await shards.split(step, call)).frame(.response, id: id)
        case .enrol(let faces):
            return WireEnrolAnswer(try await shards.enrol(faces, call)).frame(.response, id: id)
        case .delete(let faces, let token):
            return WireDeleteAnswer(try await shards.delete(faces, token: token, call)).frame(.response, id: id)
        case .search(let searches):
            return WireSearchAnswer(try await shards.search(searches, call)).frame(.response, id: id)
        case .buckets(let after, let limit):
            let page = try await shards.buckets(after: after, limit: limit, call)
            return WireBucketsAnswer(page).frame(.response, id: id)
        case .sample(let request):
            return WireSampleAnswer(try await shards.sample(request, call)).frame(.response, id: id)
        case .faces(let ids):
            return WireFacesAnswer(try await shards.faces(ids, call)).frame(.response, id: id)
        case .vector(let face):
            return WireVectorAnswer(try await shards.vector(face, call)).frame(.response, id: id)
        case .list(let after, let limit):
            return WireListAnswer(try await shards.list(after: after, limit: limit, call)).frame(.response, id: id)
        case .statistics:
            return WireStatisticsAnswer(try await shards.statistics(call)).frame(.response, id: id)
        }
    }

    /// What a body asks. Total: any bytes are a request or a `BodyError`.
    static func shardRequest(
        _ method: Method, _ body: ByteBuffer, node: NodeID
    ) throws(BodyError) -> (ShardRequest, ShardCall) {
        let now = ContinuousClock.now
        switch method {
        case .open:
            let message = try WireOpenRequest(body: body)
            let call = try message.call.domain(node: node, now: now)
            return (try message.domain(shard: call.shard), call)
        case .drop:
            return (.drop, try WireDropRequest(body: body).call.domain(node: node, now: now))
        case .retire:
            let message = try WireRetireRequest(body: body)
            return (.retire(try Fields.id(message.replica, "replica")), try message.call.domain(node: node, now: now))
        case .split:
            let message = try WireSplitRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .enrol:
            let message = try WireEnrolRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .delete:
            let message = try WireDeleteRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .search:
            let message = try WireSearchRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .buckets:
            let message = try WireBucketsRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .sample:
            let message = try WireSampleRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .faces:
            let message = try WireFacesRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .vector:
            let message = try WireVectorRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .list:
            let message = try WireListRequest(body: body)
            return (try message.domain(), try message.call.domain(node: node, now: now))
        case .statistics:
            return (.statistics, try WireStatisticsRequest(body: body).call.domain(node: node, now: now))
        case .nodeStatistics, .heldCopies, .append, .record, .ledgerStatus, .standing, .post, .report, .copy, .chunk,
            .rows:
            preconditionFailure("\(method.label) asks no shard")
        }
    }

    private func runNodeStatistics(
        _ frame: Frame, _ request: inout RequestID?
    ) async throws(Failure) -> ByteBuffer? {
        let deadline: ContinuousClock.Instant
        do throws(BodyError) {
            let call = try WireNodeStatisticsRequest(body: frame.body).call.domain(now: .now)
            (request, deadline) = (call.request, call.deadline)
        } catch {
            throw .badRequest(error)
        }
        do throws(NodeError) {
            let statistics = try await shards.statistics(ofNode: node, deadline: deadline)
            return WireNodeStatisticsAnswer(statistics).frame(.response, id: frame.id)
        } catch {
            throw .node(error.reason)
        }
    }

    private func runLedger(
        _ method: Method, _ frame: Frame, _ request: inout RequestID?
    ) async throws(Failure) -> ByteBuffer? {
        guard let ledger else { throw .unsupported("node \(node) does not keep the ledger") }
        let (asked, call): (LedgerRequest, LedgerCall)
        do throws(BodyError) {
            (asked, call) = try Self.ledgerRequest(method, frame.body)
        } catch {
            throw .badRequest(error)
        }
        request = call.request
        do throws(LedgerError) {
            switch asked {
            case .append(let entry):
                var answer = WireAppendAnswer()
                answer.index = try await ledger.append(entry, call)
                return answer.frame(.response, id: frame.id)
            case .record(let search, let tenant):
                let record = try await ledger.record(of: search, tenant: tenant, call)
                return WireRecordAnswer(record).frame(.response, id: frame.id)
            case .status:
                return WireLedgerStatusAnswer(try await ledger.status(call)).frame(.response, id: frame.id)
            case .standing(let known):
                let standing = try await ledger.standing(call)
                return WireStandingAnswer(standing, known: known).frame(.response, id: frame.id)
            }
        } catch {
            throw .ledger(error)
        }
    }

    /// As `shardRequest`.
    static func ledgerRequest(
        _ method: Method, _ body: ByteBuffer
    ) throws(BodyError) -> (LedgerRequest, LedgerCall) {
        let now = ContinuousClock.now
        let (asked, call): (LedgerRequest, WireCall)
        switch method {
        case .append:
            let message = try WireAppendRequest(body: body)
            (asked, call) = (try message.domain(), message.call)
        case .record:
            let message = try WireRecordRequest(body: body)
            (asked, call) = (try message.domain(), message.call)
        case .ledgerStatus:
            (asked, call) = (.status, try WireLedgerStatusRequest(body: body).call)
        case .standing:
            let message = try WireStandingRequest(body: body)
            (asked, call) = (.standing(known: message.known), message.call)
        case .open, .drop, .retire, .split, .enrol, .delete, .search, .buckets, .sample, .faces, .vector, .list,
            .statistics, .nodeStatistics, .heldCopies, .post, .report, .copy, .chunk, .rows:
            preconditionFailure("\(method.label) does not ask the ledger")
        }
        let (request, deadline) = try call.domain(now: now)
        return (asked, LedgerCall(deadline: deadline, request: request))
    }
}
