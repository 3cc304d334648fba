package import ClusterModel
package import FaceModel
import Logging
package import NIOCore
import NIOPosix
import Synchronization

/// The connections of one process to the nodes of its cluster, shared by `RemoteShards` and `RemoteLedger`: one a
/// node, made when the node is first asked, kept, and made again after it was lost.
package final class NodeConnections: Sendable {
    private enum Command: Sendable {
        case submit(CallRequest)
        case cancel(UInt64)
        case shut
    }

    private struct State {
        var links: [NodeID: LoopInbox<Command>] = [:]
        var lastID: UInt64 = 0
        var isShut = false
    }

    private let context: LinkContext
    private let group: any EventLoopGroup
    private let state = Mutex(State())

    /// `resolve` says where a node listens now; it is asked at every attempt to connect.
    package init(
        identity: TLSIdentity, settings: TransportSettings = TransportSettings(),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        resolve: @escaping @Sendable (NodeID) async -> NodeAddress?
    ) {
        self.group = group
        context = LinkContext(
            identity: identity, settings: settings, resolve: resolve, metrics: TransportMetrics(.asker),
            log: Logger(label: "facet.transport"))
    }

    /// Closes every connection; calls under way and later ones fail.
    package func shut() {
        let inboxes = state.withLock { state in
            state.isShut = true
            return Array(state.links.values)
        }
        for inbox in inboxes { inbox.push(.shut) }
    }

    /// Asks a node with the frame that `message` is for a new id. Returns the answer's body the latest when the
    /// deadline has passed or the task is cancelled; `shard` is the one that errors of shards are about.
    func ask<Request: Sendable, Answer: WireAnswer>(
        _ node: NodeID, _ method: Method, _ message: Request, deadline: ContinuousClock.Instant, shard: ShardID
    ) async throws(CallFailure) -> Answer where Request: WireRequest {
        let start = ContinuousClock.now
        do throws(CallFailure) {
            let id = newID()
            guard let frame = message.frame(.request, method: method.rawValue, id: id) else { throw .tooLong }
            let remaining = start.duration(to: deadline)
            guard remaining > .zero else { throw .deadlineExceeded }
            let until = NIODeadline.now() + TimeAmount(min(remaining, .seconds(86_400)))
            let answer: Answer = try read(try await exchange(node, id, frame, until).get(), shard)
            context.metrics.request(method, code: "ok", since: start)
            return answer
        } catch {
            context.metrics.request(method, code: error.label, since: start)
            throw error
        }
    }

    private func exchange(
        _ node: NodeID, _ id: UInt64, _ frame: ByteBuffer, _ deadline: NIODeadline
    ) async -> Result<Frame, CallFailure> {
        let inbox = inbox(node)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                inbox.push(.submit(CallRequest(id: id, frame: frame, deadline: deadline, continuation: continuation)))
                // A cancellation from before the push was told too early.
                if Task.isCancelled { inbox.push(.cancel(id)) }
            }
        } onCancel: {
            inbox.push(.cancel(id))
        }
    }

    private func read<Answer: WireAnswer>(_ frame: Frame, _ shard: ShardID) throws(CallFailure) -> Answer {
        let failure: Failure
        do throws(BodyError) {
            if frame.kind == .response { return try Answer(body: frame.body) }
            failure = try WireFailure(body: frame.body).domain(shard: shard)
        } catch {
            throw .malformed(error)
        }
        throw .failed(failure)
    }

    private func newID() -> UInt64 {
        state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
    }

    private func inbox(_ node: NodeID) -> LoopInbox<Command> {
        state.withLock { state in
            if let inbox = state.links[node] { return inbox }
            let loop = group.next()
            let link = NodeLink(node: node, loop: loop, context: context)
            let inbox = LoopInbox<Command>(loop: loop) { commands in
                for command in commands {
                    switch command {
                    case .submit(let request): link.submit(request)
                    case .cancel(let id): link.cancel(id)
                    case .shut: link.shut()
                    }
                }
            }
            if state.isShut { inbox.push(.shut) }
            state.links[node] = inbox
            return inbox
        }
    }
}
