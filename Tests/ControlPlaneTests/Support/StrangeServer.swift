import NIOCore
import NIOPosix

/// Answers each request with bytes that a test chose by its path, whatever they are, and ends the connection.
final class StrangeServer: Sendable {
    private let listener: any Channel
    let endpoint: String

    init(_ answer: @escaping @Sendable (_ path: String) -> String) async throws {
        let port = try FreePorts.take(1)[0]
        endpoint = "http://127.0.0.1:\(port)"
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(answer))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
    }

    func close() async throws { try await listener.close() }

    /// A response with this body.
    static func http(_ status: Int, _ body: String) -> String {
        "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let answer: @Sendable (String) -> String
        private var request = ""

        init(_ answer: @escaping @Sendable (String) -> String) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            request += String(buffer: unwrapInboundIn(data))
            // Only after the body: ending the connection earlier would reset it.
            guard let head = request.range(of: "\r\n\r\n"), request[head.upperBound...].hasSuffix("}") else { return }
            let path = request.split(separator: " ").dropFirst().first.map(String.init) ?? ""
            let channel = context.channel
            channel.writeAndFlush(ByteBuffer(string: answer(path))).whenComplete { _ in channel.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
