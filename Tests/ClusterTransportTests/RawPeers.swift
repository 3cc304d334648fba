import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

@testable import ClusterModel
@testable import ClusterTransport

/// One end of a connection whose bytes the test writes itself.
final class RawEnd: Sendable {
    let channel: any Channel
    private let incoming: AsyncStream<ByteBuffer>

    fileprivate init(_ channel: any Channel, _ incoming: AsyncStream<ByteBuffer>) {
        self.channel = channel
        self.incoming = incoming
    }

    /// Connects to a node. `identity` nil: TLS without a certificate; `reads` false: takes nothing of what comes.
    static func asker(
        _ address: NodeAddress, identity: TLSIdentity?, tls: Bool = true, reads: Bool = true
    ) async throws -> RawEnd {
        let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if tls { try channel.pipeline.syncOperations.addHandler(clientHandler(identity)) }
                    try channel.pipeline.syncOperations.addHandler(Collector(continuation))
                }
            }
            .connect(host: address.host, port: address.port).get()
        if !reads { try await channel.setOption(.autoRead, value: false).get() }
        return RawEnd(channel, stream)
    }

    private static func clientHandler(_ identity: TLSIdentity?) throws -> NIOSSLClientHandler {
        var plain = TLSConfiguration.makeClientConfiguration()
        plain.certificateVerification = .none
        let context = try identity?.clientContext ?? NIOSSLContext(configuration: plain)
        guard identity != nil else { return try NIOSSLClientHandler(context: context, serverHostname: nil) }
        return try NIOSSLClientHandler(context: context, serverHostname: nil) { (_, promise) in
            promise.succeed(.certificateVerified)
        }
    }

    func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes).get() }

    func hello() async throws {
        var hello = WireHello()
        (hello.versionMin, hello.versionMax) = (1, 1)
        if let frame = hello.frame(.hello, id: 0) { try await send(frame) }
    }

    /// Every frame that comes until the connection ends.
    func frames() -> AsyncStream<Frame> {
        let incoming = incoming
        return AsyncStream { continuation in
            let task = Task {
                var reader = FrameReader()
                reader.lengthMax = TransportLimits.frameBytesMax
                for await bytes in incoming {
                    reader.append(bytes)
                    while let frame = try? reader.next() { continuation.yield(frame) }
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    func close() { channel.close(promise: nil) }
}

private final class Collector: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let continuation: AsyncStream<ByteBuffer>.Continuation
    init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// A node whose bytes the test writes itself.
final class RawNode: Sendable {
    let address: NodeAddress
    private let listener: any Channel

    /// `served` runs for each connection, after TLS was offered.
    init(identity: TLSIdentity, served: @escaping @Sendable (RawEnd) async throws -> Void) async throws {
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
                return channel.eventLoop.makeCompletedFuture {
                    let handler = NIOSSLServerHandler(context: identity.serverContext) { (_, promise) in
                        promise.succeed(.certificateVerified)
                    }
                    try channel.pipeline.syncOperations.addHandlers([handler, Collector(continuation)])
                    let end = RawEnd(channel, stream)
                    Task {
                        // A peer that hangs up in the middle is what these tests are about.
                        try? await served(end)
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        address = NodeAddress(host: "127.0.0.1", port: listener.localAddress?.port ?? 0)
    }

    func stop() async throws { try await listener.close().get() }
}

/// Stands between two ends and passes bytes on, until it is told not to.
final class Proxy: Sendable {
    fileprivate enum Mode { case passing, swallowing }

    let address: NodeAddress
    private let listener: any Channel
    private let state: State

    final class State: Sendable {
        fileprivate let mode = Mutex(Mode.passing)
        fileprivate let channels = Mutex<[any Channel]>([])
    }

    init(to target: NodeAddress) async throws {
        let state = State()
        self.state = state
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { front in
                let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
                return front.eventLoop.makeCompletedFuture {
                    try front.pipeline.syncOperations.addHandler(Collector(continuation))
                    Task { try await Proxy.join(front, stream, target, state) }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        address = NodeAddress(host: "127.0.0.1", port: listener.localAddress?.port ?? 0)
    }

    private static func join(
        _ front: any Channel, _ incoming: AsyncStream<ByteBuffer>, _ target: NodeAddress, _ state: State
    ) async throws {
        let back = try await RawEnd.asker(target, identity: nil, tls: false)
        state.channels.withLock { $0 += [front, back.channel] }
        async let there: Void = pass(incoming, to: back.channel, state)
        async let here: Void = pass(back.incomingBytes, to: front, state)
        _ = await (there, here)
    }

    private static func pass(_ bytes: AsyncStream<ByteBuffer>, to channel: any Channel, _ state: State) async {
        for await buffer in bytes where state.mode.withLock({ $0 == .passing }) {
            channel.writeAndFlush(buffer, promise: nil)
        }
        if state.mode.withLock({ $0 == .passing }) { channel.close(promise: nil) }
    }

    /// From now on every byte vanishes, and so does the news of an end that closes.
    func swallow() { state.mode.withLock { $0 = .swallowing } }

    /// Closes both ends of every connection.
    func cut() {
        for channel in state.channels.withLock({ $0 }) { channel.close(promise: nil) }
    }

    func stop() async throws {
        cut()
        try await listener.close().get()
    }
}

extension RawEnd {
    fileprivate var incomingBytes: AsyncStream<ByteBuffer> { incoming }
}

/// Something that happens once, and can be waited for.
final class Signal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func fire() {
        continuation.yield()
        continuation.finish()
    }

    /// Returns when it has fired or the task is cancelled. For one waiter.
    func wait() async {
        for await _ in stream { return }
    }
}
