import FaceModel
import Logging
import NIOCore

/// What a connection to a node shares with all others of the node.
struct NodeContext: Sendable {
    let runner: RequestRunner
    let settings: TransportSettings
    let metrics: TransportMetrics
    let log: Logger
    /// Requests being answered on all connections.
    let inFlight: BoundedCount

    /// With the id that the coordinator's own line has: one request can be followed through every process it touched.
    func note(_ failure: Failure?, _ method: Method, _ request: RequestID?, peer: PeerIdentity, remote: String) {
        var metadata: Logger.Metadata = [
            "method": "\(method.label)", "request": "\(request.map { "\($0)" } ?? "unknown")",
        ]
        guard let failure else { return log.debug("a request was answered", metadata: metadata) }
        metadata["peer"] = "\(peer)"
        metadata["remote"] = "\(remote)"
        metadata["failure"] = "\(failure)"
        log.log(level: failure.isOrdinary ? .debug : .warning, "a request failed", metadata: metadata)
    }
}

/// The requests of one peer. Every stored variable is touched on the connection's event loop only; each request runs in
/// a task of its own, which ends the latest when its service does.
///
/// Invariants: a request is in `running` until its task has ended, also when it was cancelled; `inFlight` counts it as
/// long.
final class NodeConnection: FrameConnectionDelegate {
    private enum Phase { case open, ending }

    private struct Running {
        let task: Task<Void, Never>
        /// Nobody waits for the answer any more.
        var isCancelled = false
    }

    private struct Finished: Sendable {
        let id: UInt64
        let frame: ByteBuffer
    }

    private let context: NodeContext
    private let remote: String
    private let onClosed: () -> Void
    private var connection: FrameConnection?
    private var peer: PeerIdentity?
    private var phase = Phase.open
    private var running: [UInt64: Running] = [:]
    private var answers: LoopInbox<Finished>?

    /// `onClosed` runs once, on the event loop.
    init(_ context: NodeContext, remote: String, loop: any EventLoop, onClosed: @escaping () -> Void) {
        self.context = context
        self.remote = remote
        self.onClosed = onClosed
        let bound = NIOLoopBound(self, eventLoop: loop)
        answers = LoopInbox(loop: loop) { bound.value.send($0) }
    }

    func opened(_ connection: FrameConnection, peer: PeerIdentity) {
        self.connection = connection
        self.peer = peer
        context.metrics.connectionOpened()
        context.log.info("a peer connected", metadata: metadata())
    }

    func finishing(_ connection: FrameConnection, reason: String) {}

    func closed(_ connection: FrameConnection, reason: String, refusal: PeerRefusal?) {
        for id in running.keys { cancel(id) }
        self.connection = nil
        answers = nil
        if peer != nil {
            context.log.info("a peer's connection ended", metadata: metadata(reason: reason))
        } else {
            context.metrics.refused(refusal?.label ?? "handshake")
            context.log.warning("a peer was not let in", metadata: metadata(reason: reason))
        }
        onClosed()
    }

    func received(_ frame: Frame, on connection: FrameConnection) -> ProtocolViolation? {
        switch frame.kind {
        case .request: return start(frame, on: connection)
        case .cancel: cancel(frame.id)
        case .response, .error: return ProtocolViolation("an answer was sent to a node")
        case .hello, .ping, .pong, .goodbye: preconditionFailure("the connection keeps these to itself")
        }
        return nil
    }

    /// Whether the peer has said hello.
    var isOpen: Bool { connection != nil }

    /// Finishes what runs, then closes. Only while open.
    func stop(reason: String) {
        phase = .ending
        connection?.announceEnd(reason: reason)
        closeIfDone()
    }

    /// Closes at once; what runs is cancelled.
    func abort(reason: String) {
        connection?.close(reason: reason)
    }

    private func start(_ frame: Frame, on connection: FrameConnection) -> ProtocolViolation? {
        guard running[frame.id] == nil else { return ProtocolViolation("request \(frame.id) was sent twice") }
        guard let peer, let answers else { preconditionFailure("requests come from a peer that is known") }
        if let failure = refusal(of: frame) {
            connection.write(RequestRunner.frame(failure, id: frame.id))
            if let method = Method(rawValue: frame.method) {
                context.metrics.request(method, code: failure.label, since: .now)
            }
            return nil
        }
        guard let method = Method(rawValue: frame.method) else { preconditionFailure("unknown methods were refused") }
        let (context, remote) = (context, remote)
        let task = Task {
            let start = ContinuousClock.now
            let answer = await context.runner.answer(method, frame, from: peer.role)
            if !method.isAmongReplicas { context.inFlight.leave() }
            context.metrics.request(method, code: answer.failure?.label ?? "ok", since: start)
            context.note(answer.failure, method, answer.request, peer: peer, remote: remote)
            answers.push(Finished(id: frame.id, frame: answer.frame))
        }
        running[frame.id] = Running(task: task)
        return nil
    }

    /// Why a request is not begun; nil when it is, and then it counts as in flight unless replicas ask it.
    private func refusal(of frame: Frame) -> Failure? {
        guard let method = Method(rawValue: frame.method) else {
            return .unsupported("this release has no method \(frame.method)")
        }
        guard phase == .open else { return .stopping("node \(context.runner.node) stops") }
        guard running.count < context.settings.requestsPerConnectionMax else {
            return .overloaded("\(running.count) requests of this connection are being answered")
        }
        guard method.isAmongReplicas || context.inFlight.enter() else {
            return .overloaded("\(context.inFlight.max) requests are being answered")
        }
        return nil
    }

    private func cancel(_ id: UInt64) {
        // An answer may have crossed the cancellation.
        guard running[id] != nil else { return }
        running[id]?.isCancelled = true
        running[id]?.task.cancel()
    }

    private func send(_ finished: [Finished]) {
        for answer in finished {
            guard let request = running.removeValue(forKey: answer.id) else {
                preconditionFailure("a request ends once")
            }
            if !request.isCancelled { connection?.write(answer.frame) }
        }
        closeIfDone()
    }

    private func closeIfDone() {
        if phase == .ending, running.isEmpty { connection?.close(reason: "the node stops") }
    }

    private func metadata(reason: String? = nil) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["remote": "\(remote)"]
        if let peer { metadata["peer"] = "\(peer)" }
        if let reason { metadata["reason"] = "\(reason)" }
        return metadata
    }
}
