package import ClusterModel
package import FaceModel
import Foundation
import SwiftProtobuf

/// The shards of a cluster over the wire: every call goes to the node it names. Adds nothing and repeats nothing; who
/// calls knows what may be asked again.
package final class RemoteShards: ShardService {
    private let connections: NodeConnections

    package init(_ connections: NodeConnections) { self.connections = connections }

    package func open(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall) async throws(ShardError) {
        let _: WireOpenAnswer = try await ask(.open, call) { WireOpenRequest(descriptor, mode, $0) }
    }

    package func drop(_ call: ShardCall) async throws(ShardError) {
        let _: WireDropAnswer = try await ask(.drop, call) { wire in .with { $0.call = wire } as WireDropRequest }
    }

    package func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError) {
        let _: WireRetireAnswer = try await ask(.retire, call) { wire in
            .with {
                $0.call = wire
                $0.replica = FieldBytes.id(replica)
            } as WireRetireRequest
        }
    }

    package func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        let answer: WireSplitAnswer = try await ask(.split, call) { WireSplitRequest(step, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain() }
    }

    package func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome {
        let answer: WireEnrolAnswer = try await ask(.enrol, call) { WireEnrolRequest(faces, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain(count: faces.count) }
    }

    package func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome {
        let answer: WireDeleteAnswer = try await ask(.delete, call) { WireDeleteRequest(faces, token: token, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain(count: faces.count) }
    }

    package func search(
        _ searches: [ShardSearch], _ call: ShardCall
    ) async throws(ShardError) -> [ShardSearchAnswer] {
        let answer: WireSearchAnswer = try await ask(.search, call) { WireSearchRequest(searches, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain(limits: searches.map(\.limit)) }
    }

    package func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage {
        let answer: WireBucketsAnswer = try await ask(.buckets, call) {
            WireBucketsRequest(after: after, limit: limit, $0)
        }
        return try checked(call) { () throws(BodyError) in try answer.domain(after: after, limit: limit) }
    }

    package func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace] {
        let answer: WireSampleAnswer = try await ask(.sample, call) { WireSampleRequest(request, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain(limit: request.limit) }
    }

    package func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        let answer: WireFacesAnswer = try await ask(.faces, call) { WireFacesRequest(ids, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain(count: ids.count) }
    }

    package func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? {
        let answer: WireVectorAnswer = try await ask(.vector, call) { WireVectorRequest(id, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain() }
    }

    package func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        let answer: WireListAnswer = try await ask(.list, call) { WireListRequest(after: after, limit: limit, $0) }
        return try checked(call) { () throws(BodyError) in try answer.domain(after: after, limit: limit) }
    }

    package func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics {
        let answer: WireStatisticsAnswer = try await ask(.statistics, call) { wire in
            .with { $0.call = wire } as WireStatisticsRequest
        }
        return try checked(call) { () throws(BodyError) in try answer.domain() }
    }

    package func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics {
        try await ask(node, .nodeStatistics, deadline) { call in
            .with { $0.call = call } as WireNodeStatisticsRequest
        } reading: { (answer: WireNodeStatisticsAnswer) throws(BodyError) in
            try answer.domain()
        }
    }

    package func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy] {
        try await ask(node, .heldCopies, deadline) { call in
            WireHeldCopiesRequest(shard, call)
        } reading: { (answer: WireHeldCopiesAnswer) throws(BodyError) in
            try answer.domain()
        }
    }

    /// What names no shard.
    private func ask<Request: WireRequest, Answer: WireAnswer, Value>(
        _ node: NodeID, _ method: Method, _ deadline: ContinuousClock.Instant, _ message: (WireCall) -> Request,
        reading read: (Answer) throws(BodyError) -> Value
    ) async throws(NodeError) -> Value {
        var generator = SystemRandomNumberGenerator()
        let request = RequestID(.random(using: &generator))
        guard let call = WireCall(request: request, deadline: deadline, now: .now) else {
            throw NodeError(node: node, reason: "no time was left to ask it")
        }
        do throws(CallFailure) {
            let answer: Answer = try await connections.ask(
                node, method, message(call), deadline: deadline, shard: ShardID(request.bits))
            do throws(BodyError) { return try read(answer) } catch { throw .malformed(error) }
        } catch {
            throw NodeError(node: node, reason: error.text)
        }
    }

    private func ask<Request: WireRequest, Answer: WireAnswer>(
        _ method: Method, _ call: ShardCall, _ message: (WireShardCall) -> Request
    ) async throws(ShardError) -> Answer {
        guard let wire = WireShardCall(call, now: .now) else { throw .deadlineExceeded(call.shard) }
        do throws(CallFailure) {
            return try await connections.ask(
                call.node, method, message(wire), deadline: call.deadline, shard: call.shard)
        } catch {
            throw error.shardError(call)
        }
    }

    private func checked<Value>(
        _ call: ShardCall, _ read: () throws(BodyError) -> Value
    ) throws(ShardError) -> Value {
        do throws(BodyError) {
            return try read()
        } catch {
            throw CallFailure.malformed(error).shardError(call)
        }
    }
}

extension CallFailure {
    /// What the caller of a shard is told.
    func shardError(_ call: ShardCall) -> ShardError {
        switch self {
        case .deadlineExceeded: .deadlineExceeded(call.shard)
        case .busy(let reason), .failed(.overloaded(let reason)): .busy(call.shard, reason: reason)
        case .failed(.shard(let error)): error
        case .unreachable, .tooLong, .malformed, .failed:
            .unreachable(
                call.shard, node: call.node, reason: text, outcomeUnknown: isOutcomeUnknown)
        }
    }

    /// Whether what was asked may have happened.
    var isOutcomeUnknown: Bool {
        switch self {
        case .unreachable(_, let outcomeUnknown): outcomeUnknown
        case .malformed, .deadlineExceeded: true
        case .busy, .tooLong: false
        case .failed(let failure):
            switch failure {
            case .badRequest, .forbidden, .unsupported, .overloaded, .stopping: false
            case .unanswerable, .shard, .node, .ledger: true
            }
        }
    }

    /// For a person who runs the cluster, who is told which node beside it.
    var text: String {
        switch self {
        case .unreachable(let reason, _), .busy(let reason): reason
        case .deadlineExceeded: "no answer before the deadline"
        case .tooLong: "the request is longer than a frame may be"
        case .malformed(let error): "its answer cannot be read (\(error))"
        case .failed(let failure): failure.text
        }
    }
}

extension Failure {
    fileprivate var text: String {
        switch self {
        case .badRequest(let error): "it could not read the request (\(error)); do the releases differ?"
        case .forbidden(let reason), .unsupported(let reason), .overloaded(let reason), .stopping(let reason),
            .unanswerable(let reason), .node(let reason):
            reason
        case .shard(let error): "it answered for a shard: \(error)"
        case .ledger(let error): "it answered for the ledger: \(error)"
        }
    }
}
