import ClusterModel
import ClusterTransport
import ServiceLifecycle
import ShardEngine

/// A node's server for as long as its process runs.
struct TransportService: Service {
    /// What requests that run get when the process is told to stop.
    private static let grace = Duration.seconds(10)

    let server: NodeServer
    let address: NodeAddress
    let ready: @Sendable (NodeAddress) -> Void

    func run() async throws {
        ready(try await server.start(at: address))
        try? await gracefulShutdown()
        await server.stop(grace: Self.grace)
    }
}

/// What keeps a node's copies in step with the control plane, for as long as its process runs.
struct CopyService: Service {
    let keeper: CopyKeeper

    func run() async {
        await cancelWhenGracefulShutdown { await keeper.run() }
    }
}

/// Has the node's files read whole once in a while.
struct ScrubService: Service {
    let scrubber: Scrubber

    func run() async {
        await cancelWhenGracefulShutdown { await scrubber.run() }
    }
}
