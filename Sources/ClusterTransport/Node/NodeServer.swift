package import AuditLedger
package import ClusterModel
import FaceModel
import Logging
package import NIOCore
import NIOPosix
import NIOSSL
package import Replication
import Synchronization

/// Serves a node's shards, and its ledger where it keeps one, to the processes of its cluster, and its replicas to
/// other nodes.
///
/// The name in its certificate is the node's id. A service's work may outlive a stopped server by what it does after
/// its task was cancelled.
package final class NodeServer: Sendable {
    private enum Phase {
        case idle
        case listening(any Channel)
        case stopped
    }

    private struct Open {
        let channel: any Channel
        let connection: NIOLoopBound<NodeConnection>
    }

    private struct State {
        var phase = Phase.idle
        var next: UInt64 = 0
        var open: [UInt64: Open] = [:]
        var emptied: [CheckedContinuation<Void, Never>] = []
    }

    private let context: NodeContext
    private let identity: TLSIdentity
    private let group: any EventLoopGroup
    private let state = Mutex(State())

    package init(
        shards: any ShardService, ledger: (any LedgerService)?, replicas: (any ReplicaHost)? = nil,
        identity: TLSIdentity,
        settings: TransportSettings = TransportSettings(),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.identity = identity
        self.group = group
        context = NodeContext(
            runner: RequestRunner(node: identity.identity.name, shards: shards, ledger: ledger, replicas: replicas),
            settings: settings, metrics: TransportMetrics(.node), log: Logger(label: "facet.transport"),
            inFlight: BoundedCount(max: settings.requestsInFlightMax))
    }

    /// Connections that are open, those in their handshake included.
    package var connections: Int { state.withLock { $0.open.count } }
    /// Requests being answered.
    package var requestsInFlight: Int { context.inFlight.current }

    /// Listens until `stop`. Port 0 takes a free one; the address returned has it. Once in a server's life.
    package func start(at address: NodeAddress) async throws(TransportError) -> NodeAddress {
        let listener: any Channel
        do {
            listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1_024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { [self] channel in accept(channel) }
                .bind(host: address.host, port: address.port).get()
        } catch {
            throw .cannotListen(address, reason: ConnectionProblem.text(error, greeting: false))
        }
        state.withLock { state in
            guard case .idle = state.phase else { preconditionFailure("a server starts once") }
            state.phase = .listening(listener)
        }
        let bound = NodeAddress(host: address.host, port: listener.localAddress?.port ?? address.port)
        context.log.info(
            "a node listens", metadata: ["node": "\(identity.identity)", "address": "\(bound)"])
        return bound
    }

    /// Takes no new requests, waits until those that run are answered but no longer than `grace`, then closes every
    /// connection. Harmless when stopped or never started.
    package func stop(grace: Duration) async {
        let (listener, open) = state.withLock { state -> ((any Channel)?, [Open]) in
            var listener: (any Channel)?
            if case .listening(let channel) = state.phase { listener = channel }
            state.phase = .stopped
            return (listener, Array(state.open.values))
        }
        // A listener that is closed already is what is wanted.
        _ = try? await listener?.close().get()
        for each in open {
            each.channel.eventLoop.execute {
                let connection = each.connection.value
                if connection.isOpen {
                    connection.stop(reason: "the node stops")
                } else {
                    each.channel.close(promise: nil)
                }
            }
        }
        let timer = group.next().scheduleTask(in: TimeAmount(grace)) { [self] in abort() }
        await withCheckedContinuation { continuation in
            let done = state.withLock { state in
                if !state.open.isEmpty { state.emptied.append(continuation) }
                return state.open.isEmpty
            }
            if done { continuation.resume() }
        }
        timer.cancel()
    }

    private func abort() {
        for each in state.withLock({ Array($0.open.values) }) {
            each.channel.eventLoop.execute {
                each.connection.value.abort(reason: "the node stops")
                each.channel.close(promise: nil)
            }
        }
    }

    private func accept(_ channel: any Channel) -> EventLoopFuture<Void> {
        let remote = channel.remoteAddress.flatMap { address in
            address.ipAddress.map { "\(NodeAddress(host: $0, port: address.port ?? 0))" }
        }
        let key = state.withLock { state -> UInt64? in
            guard case .listening = state.phase, state.open.count < context.settings.connectionsMax else { return nil }
            state.next += 1
            return state.next
        }
        guard let key else {
            context.metrics.refused("connections")
            context.log.warning("a connection too many was closed", metadata: ["remote": "\(remote ?? "unknown")"])
            return channel.close()
        }
        return channel.eventLoop.makeCompletedFuture { [self] in
            do {
                try add(channel, key: key, remote: remote ?? "unknown")
            } catch {
                left(key)
                throw error
            }
        }
    }

    private func add(_ channel: any Channel, key: UInt64, remote: String) throws {
        let connection = NodeConnection(context, remote: remote, loop: channel.eventLoop) { [self] in left(key) }
        try state.withLock { state in
            guard case .listening = state.phase else { throw ChannelError.ioOnClosedChannel }
            state.open[key] = Open(
                channel: channel, connection: NIOLoopBound(connection, eventLoop: channel.eventLoop))
        }
        let peer = PeerRecord()
        let verifier = PeerVerifier(identity, expecting: .roles([.coordinator, .operator, .shardNode]))
        try channel.pipeline.syncOperations.addHandlers([
            NIOSSLServerHandler(
                context: identity.serverContext, customVerificationCallback: peer.callback(verifier)),
            FrameConnection(
                side: .node, peer: peer, settings: context.settings, metrics: context.metrics, delegate: connection),
        ])
    }

    private func left(_ key: UInt64) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.open[key] = nil
            guard state.open.isEmpty else { return [] }
            defer { state.emptied = [] }
            return state.emptied
        }
        for continuation in waiting { continuation.resume() }
    }
}
