import ClusterModel
import FaceModel
import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// What all links of a process share.
struct LinkContext: Sendable {
    let identity: TLSIdentity
    let settings: TransportSettings
    let resolve: @Sendable (NodeID) async -> NodeAddress?
    let metrics: TransportMetrics
    let log: Logger
}

/// The way to one node: at most one connection that takes requests, made when the first is asked, made again after it
/// was lost. Every variable is touched on `loop` only.
///
/// Invariants: a call is in `calls` exactly until its continuation was resumed. `waiting` calls exist only while an
/// attempt is underway. After `shut` every call fails at once.
// Safe because every variable is touched on `loop` only, which the entry points check.
final class NodeLink: @unchecked Sendable {
    private enum Phase {
        case idle
        /// `number` tells a late result of an abandoned attempt from this one's.
        case connecting(number: UInt64, channel: (any Channel)?)
        case open(FrameConnection)
        case pausing(until: NIODeadline, reason: String)
        case shut
    }

    private let node: NodeID
    private let loop: any EventLoop
    private let context: LinkContext
    private var phase = Phase.idle
    private var calls: [UInt64: PendingCall] = [:]
    private var pendingBytes = 0
    private var attempt: UInt64 = 0
    private var attemptTimeout: Scheduled<Void>?
    private var backoff: Backoff
    /// Since when no attempt has succeeded.
    private var downSince: Date?
    private var address: NodeAddress?
    private var wakeUp: (at: NIODeadline, timer: Scheduled<Void>)?

    init(node: NodeID, loop: any EventLoop, context: LinkContext) {
        self.node = node
        self.loop = loop
        self.context = context
        backoff = Backoff(min: context.settings.backoffMin, max: context.settings.backoffMax)
    }

    // MARK: Calls

    func submit(_ request: CallRequest) {
        loop.preconditionInEventLoop()
        let call = PendingCall(request)
        let settings = context.settings
        if calls.count >= settings.pendingRequestsMax || pendingBytes + call.bytes > settings.pendingBytesMax {
            return call.end(
                .failure(.busy(reason: "\(calls.count) requests of \(pendingBytes) bytes wait for node \(node)")))
        }
        switch phase {
        case .shut:
            return call.end(.failure(unreachable("this process ends", outcomeUnknown: false)))
        case .pausing(let until, let reason) where NIODeadline.now() < until:
            return call.end(.failure(unreachable(down(reason), outcomeUnknown: false)))
        case .idle, .pausing:
            add(call)
            connect()
        case .connecting:
            add(call)
        case .open(let connection):
            add(call)
            send(call.id, on: connection)
        }
    }

    /// The caller waits no longer.
    func cancel(_ id: UInt64) {
        loop.preconditionInEventLoop()
        abandon(id)
    }

    func shut() {
        loop.preconditionInEventLoop()
        let reason = "this process ends"
        let old = phase
        phase = .shut
        attemptTimeout?.cancel()
        switch old {
        case .open(let connection): connection.close(reason: reason)
        case .connecting(_, let channel): channel?.close(promise: nil)
        case .idle, .pausing, .shut: break
        }
        for call in Array(calls.values) {
            var left = false
            if case .sent(let connection) = call.place {
                left = true
                connection.close(reason: reason)
            }
            end(call.id, .failure(unreachable(reason, outcomeUnknown: left)))
        }
        wakeUp?.timer.cancel()
        wakeUp = nil
    }

    private func add(_ call: PendingCall) {
        calls[call.id] = call
        pendingBytes += call.bytes
        if wakeUp.map({ call.deadline < $0.at }) ?? true { wake(at: call.deadline) }
    }

    private func send(_ id: UInt64, on connection: FrameConnection) {
        guard case .waiting(let frame)? = calls[id]?.place else { return }
        calls[id]?.place = .sent(connection)
        connection.write(frame)
    }

    private func end(_ id: UInt64, _ result: Result<Frame, CallFailure>) {
        guard let call = calls.removeValue(forKey: id) else { return }
        pendingBytes -= call.bytes
        call.end(result)
    }

    /// Ends a call nobody waits for, and tells the node.
    private func abandon(_ id: UInt64) {
        guard let call = calls[id] else { return }
        if case .sent(let connection) = call.place { connection.write(FrameHeader.bare(.cancel, id: id)) }
        end(id, .failure(.deadlineExceeded))
    }

    // MARK: Deadlines

    private func wake(at deadline: NIODeadline) {
        wakeUp?.timer.cancel()
        wakeUp = (deadline, loop.scheduleTask(deadline: deadline) { [self] in endOverdue() })
    }

    private func endOverdue() {
        wakeUp = nil
        let now = NIODeadline.now()
        for call in Array(calls.values) where call.deadline <= now { abandon(call.id) }
        if let next = calls.values.map(\.deadline).min() { wake(at: next) }
    }

    // MARK: Attempts

    private func connect() {
        attempt += 1
        let number = attempt
        phase = .connecting(number: number, channel: nil)
        attemptTimeout = loop.scheduleTask(in: TimeAmount(context.settings.connectTimeout)) { [self] in
            failed(number, reason: "no connection within \(context.settings.connectTimeout)")
        }
        Task { [self] in
            let address = await context.resolve(node)
            loop.execute { [self] in resolved(address, number) }
        }
    }

    private func resolved(_ address: NodeAddress?, _ number: UInt64) {
        guard case .connecting(number, _) = phase else { return }
        guard let address else { return failed(number, reason: "it has not registered an address") }
        self.address = address
        ClientBootstrap(group: loop)
            .connectTimeout(TimeAmount(context.settings.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { [self] in try add(to: channel, number) }
            }
            .connect(host: address.host, port: address.port)
            .whenFailure { [self] error in
                failed(number, reason: ConnectionProblem.text(error, greeting: true))
            }
    }

    private func add(to channel: any Channel, _ number: UInt64) throws {
        guard case .connecting(number, _) = phase else { throw ChannelError.ioOnClosedChannel }
        phase = .connecting(number: number, channel: channel)
        let peer = PeerRecord()
        let verifier = PeerVerifier(context.identity, expecting: .node(node))
        try channel.pipeline.syncOperations.addHandlers([
            NIOSSLClientHandler(
                context: context.identity.clientContext, serverHostname: nil,
                customVerificationCallback: peer.callback(verifier)),
            FrameConnection(
                side: .asker, peer: peer, settings: context.settings, metrics: context.metrics,
                delegate: LinkConnection(self, number)),
        ])
    }

    func opened(_ connection: FrameConnection, _ number: UInt64) {
        guard case .connecting(number, _) = phase else { return connection.close(reason: "it came too late") }
        attemptTimeout?.cancel()
        context.metrics.connectionOpened()
        context.log.info("connected to a node", metadata: metadata())
        phase = .open(connection)
        for id in calls.keys.sorted() { send(id, on: connection) }
    }

    /// The attempt came to nothing; fails what waits for it.
    func failed(_ number: UInt64, reason: String) {
        guard case .connecting(number, let channel) = phase else { return }
        attemptTimeout?.cancel()
        pause(reason)
        channel?.close(promise: nil)
        for call in Array(calls.values) {
            if case .waiting = call.place {
                end(call.id, .failure(unreachable(down(reason), outcomeUnknown: false)))
            }
        }
    }

    private func pause(_ reason: String) {
        var generator = SystemRandomNumberGenerator()
        let span = backoff.next(using: &generator)
        if downSince == nil { downSince = Date() }
        phase = .pausing(until: .now() + TimeAmount(span), reason: reason)
        var metadata = metadata()
        metadata["reason"] = "\(reason)"
        context.log.log(
            level: backoff.attempts == 1 ? .warning : .debug, "a node cannot be reached", metadata: metadata)
    }

    // MARK: What connections say

    func received(_ frame: Frame, on connection: FrameConnection) -> ProtocolViolation? {
        switch frame.kind {
        case .response, .error: break
        case .request, .cancel: return ProtocolViolation("a node sent a request")
        case .hello, .ping, .pong, .goodbye: preconditionFailure("the connection keeps these to itself")
        }
        if downSince != nil || backoff.attempts > 0 {
            downSince = nil
            backoff.reset()
        }
        // An answer may have crossed a cancellation or a deadline; one to what was never asked is told by no id.
        guard let call = calls[frame.id] else { return nil }
        guard case .sent(let asked) = call.place, asked === connection else {
            return ProtocolViolation("an answer to a request it was not sent")
        }
        end(frame.id, .success(frame))
        return nil
    }

    func finishing(_ connection: FrameConnection, reason: String) {
        guard case .open(let current) = phase, current === connection else { return }
        context.log.info("a node takes no new requests", metadata: metadata())
        pause("it said goodbye: \(reason)")
    }

    func closed(_ connection: FrameConnection, _ number: UInt64, reason: String, refusal: PeerRefusal?) {
        if let refusal { context.metrics.refused(refusal.label) }
        if case .open(let current) = phase, current === connection { lost(reason) }
        failed(number, reason: reason)
        for call in Array(calls.values) {
            if case .sent(let used) = call.place, used === connection {
                end(call.id, .failure(unreachable(reason, outcomeUnknown: true)))
            }
        }
    }

    /// A connection that served its node well is made again at the next request, any other after a pause.
    private func lost(_ reason: String) {
        guard downSince == nil, backoff.attempts == 0 else { return pause(reason) }
        phase = .idle
        var metadata = metadata()
        metadata["reason"] = "\(reason)"
        context.log.warning("the connection to a node was lost", metadata: metadata)
    }

    private func down(_ reason: String) -> String {
        let since = downSince.map { ", not reachable since \($0.ISO8601Format())" } ?? ""
        return "\(reason)\(since)"
    }

    private func unreachable(_ reason: String, outcomeUnknown: Bool) -> CallFailure {
        let place = address.map { "\($0): " } ?? ""
        return .unreachable(reason: place + reason, outcomeUnknown: outcomeUnknown)
    }

    private func metadata() -> Logger.Metadata {
        ["node": "\(node)", "address": "\(address.map { "\($0)" } ?? "unknown")"]
    }
}

/// Tells a link which of its attempts a connection was.
private final class LinkConnection: FrameConnectionDelegate {
    private let link: NodeLink
    private let number: UInt64

    init(_ link: NodeLink, _ number: UInt64) {
        self.link = link
        self.number = number
    }

    func opened(_ connection: FrameConnection, peer: PeerIdentity) { link.opened(connection, number) }
    func received(_ frame: Frame, on connection: FrameConnection) -> ProtocolViolation? {
        link.received(frame, on: connection)
    }
    func finishing(_ connection: FrameConnection, reason: String) { link.finishing(connection, reason: reason) }
    func closed(_ connection: FrameConnection, reason: String, refusal: PeerRefusal?) {
        link.closed(connection, number, reason: reason, refusal: refusal)
    }
}
