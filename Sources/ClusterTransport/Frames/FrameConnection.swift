import NIOCore
import NIOPosix
import NIOSSL

/// Whom a connection tells what happens to it; on the connection's event loop.
protocol FrameConnectionDelegate: AnyObject {
    /// The peer has proved who it is and said hello. At most once, before any frame.
    func opened(_ connection: FrameConnection, peer: PeerIdentity)
    /// A request, response, error or cancel; an error returned ends the connection, and tells the peer why.
    func received(_ frame: Frame, on connection: FrameConnection) -> ProtocolViolation?
    /// The peer takes no new requests on this connection.
    func finishing(_ connection: FrameConnection, reason: String)
    /// Exactly once, the last call. `refusal` when the peer was not who it must be.
    func closed(_ connection: FrameConnection, reason: String, refusal: PeerRefusal?)
}

/// What a peer did against docs/formats/frames.md.
struct ProtocolViolation: Error, Hashable, Sendable {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// One end of a connection: cuts frames, exchanges hellos, watches whether the peer lives and reads. What requests mean
/// is its delegate's affair. Everything happens on the channel's event loop.
final class FrameConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Which hello comes first.
    enum Side { case asker, node }
    private enum Phase { case greeting, open, closed }

    private static let release = "facet"
    /// Spans of silence after which the peer is dead.
    private static let silencesMax = 4

    private let side: Side
    private let peerRecord: PeerRecord
    private let settings: TransportSettings
    private let metrics: TransportMetrics
    private var delegate: (any FrameConnectionDelegate)?
    private var context: ChannelHandlerContext?
    private var phase = Phase.greeting
    private var reader = FrameReader()
    private var watch: RepeatedTask?
    private var greetingTimeout: Scheduled<Void>?
    private var silences = 0
    private var heard = false
    private var pings: UInt64 = 0
    private var writtenBytes = 0
    private var leftBytes = 0
    private var stalls = 0
    private var flushDue = false
    private var receivedBytes = 0
    private var counted = (received: 0, sent: 0)

    init(
        side: Side, peer: PeerRecord, settings: TransportSettings, metrics: TransportMetrics,
        delegate: any FrameConnectionDelegate
    ) {
        self.side = side
        peerRecord = peer
        self.settings = settings
        self.metrics = metrics
        self.delegate = delegate
    }

    // MARK: Called by the delegate

    /// Sends a frame with everything else that is written until the event loop comes to the end of its work.
    func write(_ frame: ByteBuffer) {
        guard let context, phase != .closed else { return }
        writtenBytes += frame.readableBytes
        context.write(wrapOutboundOut(frame), promise: nil)
        if !context.channel.isWritable, buffered(context) > settings.outgoingBytesMax {
            close(reason: "the peer does not read: \(settings.outgoingBytesMax) bytes wait for it")
        } else if !flushDue {
            flushDue = true
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            context.eventLoop.execute { bound.value.flush() }
        }
    }

    /// Tells the peer that no new requests are taken.
    func announceEnd(reason: String) {
        goodbye(reason, finishing: true)
    }

    /// Tells the peer why, and closes.
    func close(reason: String) {
        guard let context, phase != .closed else { return }
        goodbye(reason, finishing: false)
        context.flush()
        end(reason: reason)
        context.close(promise: nil)
    }

    // MARK: The channel's events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(reason: "the connection was closed")
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(reason: phase == .greeting ? "the peer closed the connection before its hello" : "the connection was lost")
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase != .closed else { return }
        let bytes = unwrapInboundIn(data)
        heard = true
        receivedBytes += bytes.readableBytes
        reader.append(bytes)
        do throws(FrameError) {
            while phase != .closed, let frame = try reader.next() {
                if let violation = take(frame) { return close(reason: violation.reason) }
            }
        } catch {
            close(reason: "the peer sent \(error)")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .failure(let refusal)? = peerRecord.result {
            end(reason: refusal.description, refusal: refusal)
        } else {
            end(reason: ConnectionProblem.text(error, greeting: phase == .greeting))
        }
        context.close(promise: nil)
    }

    // MARK: Hello

    private func start(_ context: ChannelHandlerContext) {
        guard watch == nil, phase == .greeting else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        greetingTimeout = context.eventLoop.scheduleTask(in: TimeAmount(settings.connectTimeout)) {
            bound.value.close(reason: "the peer said no hello in time")
        }
        let span = TimeAmount(settings.silence)
        watch = context.eventLoop.scheduleRepeatedTask(initialDelay: span, delay: span) { _ in bound.value.look() }
        if side == .asker { greet() }
    }

    private func greet() {
        var hello = WireHello()
        hello.versionMin = UInt32(FrameHeader.version)
        hello.versionMax = UInt32(FrameHeader.version)
        hello.release = Self.release
        if let frame = hello.frame(.hello, id: 0) { write(frame) }
    }

    private func take(_ frame: Frame) -> ProtocolViolation? {
        switch (phase, frame.kind) {
        case (.closed, _): return nil
        case (.greeting, .hello): return greeted(frame)
        case (.greeting, .goodbye), (.open, .goodbye):
            said(goodbye: frame)
            return nil
        case (.greeting, _): return ProtocolViolation("the peer sent a frame before its hello")
        case (.open, .hello): return ProtocolViolation("the peer said hello twice")
        case (.open, .ping): write(FrameHeader.bare(.pong, id: frame.id))
        case (.open, .pong): break
        case (.open, .request), (.open, .response), (.open, .error), (.open, .cancel):
            return delegate?.received(frame, on: self)
        }
        return nil
    }

    private func greeted(_ frame: Frame) -> ProtocolViolation? {
        guard let hello = try? WireHello(body: frame.body) else {
            return ProtocolViolation("the peer's hello cannot be read")
        }
        let version = UInt32(FrameHeader.version)
        guard hello.versionMin <= version, version <= hello.versionMax else {
            return ProtocolViolation(
                "the peer speaks frame versions \(hello.versionMin) to \(hello.versionMax), this release \(version)")
        }
        guard case .success(let peer)? = peerRecord.result else {
            return ProtocolViolation("the peer did not show a certificate in this handshake")
        }
        phase = .open
        greetingTimeout?.cancel()
        reader.lengthMax = TransportLimits.frameBytesMax
        if side == .node { greet() }
        delegate?.opened(self, peer: peer)
        return nil
    }

    private func said(goodbye frame: Frame) {
        let goodbye = try? WireGoodbye(body: frame.body)
        let reason = (goodbye?.reason).map(FieldBytes.text) ?? "it gave no reason"
        if goodbye?.finishing == true {
            delegate?.finishing(self, reason: reason)
        } else {
            end(reason: "the peer closed the connection: \(reason)")
            context?.close(promise: nil)
        }
    }

    private func goodbye(_ reason: String, finishing: Bool) {
        var goodbye = WireGoodbye()
        goodbye.reason = FieldBytes.text(reason)
        goodbye.finishing = finishing
        if let frame = goodbye.frame(.goodbye, id: 0), let context {
            writtenBytes += frame.readableBytes
            context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        }
    }

    // MARK: Whether the peer lives and reads

    /// Once every span of silence.
    private func look() {
        guard let context, phase != .closed else { return }
        countBytes()
        silences = heard ? 0 : silences + 1
        heard = false
        let left = writtenBytes - buffered(context)
        stalls = left > leftBytes || buffered(context) == 0 ? 0 : stalls + 1
        leftBytes = left
        if silences >= Self.silencesMax {
            close(reason: "nothing was heard of the peer for \(settings.silence * Self.silencesMax)")
        } else if stalls >= Self.silencesMax {
            close(reason: "the peer has not read for \(settings.silence * Self.silencesMax)")
        } else if silences > 0, phase == .open {
            pings += 1
            write(FrameHeader.bare(.ping, id: pings))
        }
    }

    private func buffered(_ context: ChannelHandlerContext) -> Int {
        // Every channel of NIO's own that carries bytes knows it; one that does not has none that wait.
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    private func countBytes() {
        metrics.bytes(received: receivedBytes - counted.received, sent: writtenBytes - counted.sent)
        counted = (receivedBytes, writtenBytes)
    }

    private func flush() {
        guard flushDue else { return }
        flushDue = false
        context?.flush()
    }

    private func end(reason: String, refusal: PeerRefusal? = nil) {
        guard phase != .closed else { return }
        phase = .closed
        countBytes()
        watch?.cancel()
        greetingTimeout?.cancel()
        reader = FrameReader()
        delegate?.closed(self, reason: reason, refusal: refusal)
        delegate = nil
    }
}

extension TimeAmount {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
