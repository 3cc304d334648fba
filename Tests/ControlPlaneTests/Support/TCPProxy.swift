import NIOCore
import NIOPosix
import Synchronization

/// A wire between a client and etcd that a test can cut, and worse.
final class TCPProxy: Sendable {
    enum Mode: Sendable {
        case pass
        /// Connections stay open and nothing arrives any more, in either direction.
        case swallow
        /// Requests arrive, answers do not.
        case swallowAnswers
        /// Connections end, new ones at once.
        case cut
    }

    private struct State {
        var mode = Mode.pass
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = Mutex(State())
    private let listener = Mutex<(any Channel)?>(nil)
    let port: Int
    private let target: Int

    var endpoint: String { "http://127.0.0.1:\(port)" }

    init(to target: Int) async throws {
        self.target = target
        port = try FreePorts.take(1)[0]
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { self.accept($0) }
            .bind(host: "127.0.0.1", port: port).get()
        listener.withLock { $0 = channel }
    }

    var mode: Mode {
        get { state.withLock { $0.mode } }
        set {
            let ended = state.withLock { state in
                state.mode = newValue
                return newValue == .cut ? Array(state.channels.values) : []
            }
            for channel in ended { channel.close(promise: nil) }
        }
    }

    func close() async throws {
        mode = .cut
        try await listener.withLock { $0.take() }?.close()
    }

    private func accept(_ client: any Channel) -> EventLoopFuture<Void> {
        guard mode != .cut else { return client.eventLoop.makeFailedFuture(ChannelError.eof) }
        return ClientBootstrap(group: client.eventLoop).channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: target)
            .flatMap { server in
                client.eventLoop.makeCompletedFuture {
                    try self.join(client, server)
                }
            }
    }

    private func join(_ client: any Channel, _ server: any Channel) throws {
        try client.pipeline.syncOperations.addHandler(Relay(to: server, proxy: self, answers: false))
        try server.pipeline.syncOperations.addHandler(Relay(to: client, proxy: self, answers: true))
        for channel in [client, server] {
            state.withLock { $0.channels[ObjectIdentifier(channel)] = channel }
            channel.closeFuture.whenComplete { _ in
                self.state.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
            }
        }
        for channel in [client, server] { channel.setOption(.autoRead, value: true).whenFailure { _ in } }
    }

    private final class Relay: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let other: any Channel
        private let proxy: TCPProxy
        private let answers: Bool
        /// A connection that lost bytes never recovers.
        private var dead = false

        init(to other: any Channel, proxy: TCPProxy, answers: Bool) {
            self.other = other
            self.proxy = proxy
            self.answers = answers
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch proxy.mode {
            case .swallow: dead = true
            case .swallowAnswers: if answers { dead = true }
            case .pass, .cut: break
            }
            if !dead { other.writeAndFlush(unwrapInboundIn(data), promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
