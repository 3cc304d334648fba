package import ClusterModel
package import FaceModel
import Synchronization

/// Sends each call to the node it names, and breaks calls on request.
package final class FlakyShards: ShardService {
    package enum Operation: Hashable, Sendable, CaseIterable {
        case open, drop, retire, split, enrol, delete, search, buckets, sample, faces, vector, list, statistics
    }

    package enum Fault: Hashable, Sendable {
        case fail(ShardError)
        /// No answer until the deadline, or until nobody waits any more.
        case hang
        /// The call is carried out; its answer is lost.
        case loseAnswer
    }

    private struct State {
        var nodes: [NodeID: any ShardService]
        var fault: @Sendable (Operation, ShardCall) -> Fault? = { _, _ in nil }
        var silentNodes: Set<NodeID> = []
        var calls: [(operation: Operation, call: ShardCall)] = []
    }
    private let state: Mutex<State>

    package init(_ nodes: [NodeID: any ShardService]) { state = Mutex(State(nodes: nodes)) }

    /// Decides over every later call; each may be asked about once.
    package func breakCalls(_ fault: @escaping @Sendable (Operation, ShardCall) -> Fault?) {
        state.withLock { $0.fault = fault }
    }
    package func heal() {
        state.withLock { state in
            state.fault = { _, _ in nil }
            state.silentNodes = []
        }
    }
    /// These nodes stand still: they take calls and answer none.
    package func silence(_ nodes: Set<NodeID>) { state.withLock { $0.silentNodes = nodes } }
    package func replace(_ node: NodeID, by service: any ShardService) { state.withLock { $0.nodes[node] = service } }
    package var calls: [(operation: Operation, call: ShardCall)] { state.withLock { $0.calls } }
    package func forgetCalls() { state.withLock { $0.calls = [] } }

    package func open(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall) async throws(ShardError) {
        try await pass(.open, call) { (node) async throws(ShardError) in try await node.open(descriptor, mode, call) }
    }

    package func drop(_ call: ShardCall) async throws(ShardError) {
        try await pass(.drop, call) { (node) async throws(ShardError) in try await node.drop(call) }
    }

    package func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError) {
        try await pass(.retire, call) { (node) async throws(ShardError) in try await node.retire(replica, call) }
    }

    package func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        try await pass(.split, call) { (node) async throws(ShardError) in try await node.split(step, call) }
    }

    package func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome {
        try await pass(.enrol, call) { (node) async throws(ShardError) in try await node.enrol(faces, call) }
    }

    package func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome {
        try await pass(.delete, call) { (node) async throws(ShardError) in
            try await node.delete(faces, token: token, call)
        }
    }

    package func search(
        _ searches: [ShardSearch], _ call: ShardCall
    ) async throws(ShardError) -> [ShardSearchAnswer] {
        try await pass(.search, call) { (node) async throws(ShardError) in try await node.search(searches, call) }
    }

    package func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage {
        try await pass(.buckets, call) { (node) async throws(ShardError) in
            try await node.buckets(after: after, limit: limit, call)
        }
    }

    package func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace] {
        try await pass(.sample, call) { (node) async throws(ShardError) in try await node.sample(request, call) }
    }

    package func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        try await pass(.faces, call) { (node) async throws(ShardError) in try await node.faces(ids, call) }
    }

    package func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? {
        try await pass(.vector, call) { (node) async throws(ShardError) in try await node.vector(id, call) }
    }

    package func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        try await pass(.list, call) { (node) async throws(ShardError) in
            try await node.list(after: after, limit: limit, call)
        }
    }

    package func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics {
        try await pass(.statistics, call) { (node) async throws(ShardError) in try await node.statistics(call) }
    }

    package func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics {
        let (service, silent) = state.withLock { ($0.nodes[node], $0.silentNodes.contains(node)) }
        if silent { await Self.wait(until: deadline) }
        guard let service, !silent else { throw NodeError(node: node, reason: "it does not answer") }
        return try await service.statistics(ofNode: node, deadline: deadline)
    }

    package func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy] {
        let (service, silent) = state.withLock { ($0.nodes[node], $0.silentNodes.contains(node)) }
        guard let service, !silent else { throw NodeError(node: node, reason: "it does not answer") }
        return try await service.copies(ofNode: node, of: shard, deadline: deadline)
    }

    private func pass<Answer: Sendable>(
        _ operation: Operation, _ call: ShardCall,
        _ body: @Sendable (any ShardService) async throws(ShardError) -> Answer
    ) async throws(ShardError) -> Answer {
        let (node, fault, silent) = state.withLock { state in
            state.calls.append((operation, call))
            return (state.nodes[call.node], state.fault, state.silentNodes.contains(call.node))
        }
        guard let node else { throw unreachable(call, "no such node", outcomeUnknown: false) }
        switch silent ? .hang : fault(operation, call) {
        case nil:
            return try await body(node)
        case .fail(let error):
            throw error
        case .hang:
            await Self.wait(until: call.deadline)
            throw .deadlineExceeded(call.shard)
        case .loseAnswer:
            _ = try await body(node)
            throw unreachable(call, "the connection broke", outcomeUnknown: true)
        }
    }

    private func unreachable(_ call: ShardCall, _ reason: String, outcomeUnknown: Bool) -> ShardError {
        .unreachable(call.shard, node: call.node, reason: reason, outcomeUnknown: outcomeUnknown)
    }

    /// Returns early when the task is cancelled.
    private static func wait(until instant: ContinuousClock.Instant) async {
        do { try await Task.sleep(until: instant, clock: .continuous) } catch { return }
    }
}
