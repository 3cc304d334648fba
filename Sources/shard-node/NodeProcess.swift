import AuditLedger
import ClusterModel
import ClusterTransport
import ControlPlane
import FaceModel
import Foundation
import KeyHierarchy
import Logging
import Metrics
import ServiceConfiguration
import ServiceLifecycle
import ShardEngine
import StorageIO
import Telemetry

/// One node: its shards, the ledger where it keeps it, and what the others and the operator see of it.
struct NodeProcess {
    private let configuration: ClusterConfiguration
    private let node: ClusterConfiguration.Node
    private let files = POSIXFileSystem()
    private let log = Logger(label: "facet")

    init(_ configuration: ClusterConfiguration, _ node: ClusterConfiguration.Node) {
        self.configuration = configuration
        self.node = node
    }

    func run() async throws {
        let metrics = MetricsRegistry()
        MetricsSystem.bootstrap(metrics)
        let data = DataDirectory(path: node.data, files: files)
        let lock = try prepare(data)
        defer { withExtendedLifetime(lock) {} }
        let identity = try identity()
        let store = try openControlPlane()
        let membership = Membership(controlPlane: store, node: node, log: log)
        let cluster = try await membership.join()
        let incarnation = try await membership.begin(in: data.path, on: files)
        let mirror = MirroredControlPlane(store)
        try await mirror.start()
        let connections = NodeConnections(identity: identity) { node in
            guard case .node(let register)? = try? await mirror.read(.node(node))?.value else { return nil }
            return register.address
        }
        if configuration.service.lockMemory, let refusal = MemoryLock.refusal(bytes: node.memoryBytes) {
            throw NodeStartError(reason: refusal)
        }
        let others = RemoteReplicas(connections)
        let surroundings = ReplicaSurroundings(
            node: node.id, incarnation: incarnation, registers: ControlPlaneShards(mirror), post: others,
            copies: others)
        let ledger = ledgerShelf(data, cluster, surroundings)
        try await openLedger(ledger, data, cluster, membership)
        let shards = ShardNode(
            directory: data.shards, files: files, pool: ScanPool(threads: configuration.service.searchThreads),
            surroundings: surroundings, capacityBytes: node.memoryBytes, locksMemory: configuration.service.lockMemory,
            mapsPlanes: configuration.service.mapPlanes, ledger: ledger, ledgerDirectory: data.ledger)
        try await serve(
            shards, ledger, identity, metrics, CopyKeeper(of: node.id, shards: shards, controlPlane: mirror))
        // In this order: no request runs any more, so nothing is written behind a closed file.
        await shards.stop()
        connections.shut()
        await ledger.stop()
        await mirror.stop()
        try await store.shutdown()
    }

    private func serve(
        _ shards: ShardNode, _ ledger: LedgerShelf, _ identity: TLSIdentity, _ metrics: MetricsRegistry,
        _ keeper: CopyKeeper
    ) async throws {
        let server = NodeServer(shards: shards, ledger: ledger, replicas: shards, identity: identity)
        let watch = NodeWatch(node: node.id, shards: shards, ledger: ledger)
        let monitor = MonitorServer(
            metrics: metrics, gauges: { await watch.gauges() }, problems: { await watch.problems() })
        let (log, listen) = (log, node.listen)
        let service = TransportService(server: server, address: listen) { bound in
            log.notice("facet: listening on \(bound)", metadata: ["node": "\(identity.identity.name)"])
        }
        let group = ServiceGroup(
            configuration: .init(
                services: scrubs(shards) + [
                    .init(service: service), .init(service: CopyService(keeper: keeper)),
                    .init(
                        service: monitor.application(
                            host: node.monitor.host, port: node.monitor.port, logger: LogOutput.quiet("facet.http"))),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: LogOutput.quiet("facet.lifecycle")))
        do {
            try await group.run()
        } catch {
            throw NodeStartError(reason: "cannot serve on \(listen) or \(node.monitor): \(error)")
        }
    }

    /// None where the files are not to be read.
    private func scrubs(_ shards: ShardNode) -> [ServiceGroupConfiguration.ServiceConfiguration] {
        let seconds = configuration.service.scrubAfterSeconds
        guard seconds > 0 else { return [] }
        return [.init(service: ScrubService(scrubber: Scrubber(of: shards, every: .seconds(seconds))))]
    }

    private func prepare(_ data: DataDirectory) throws(NodeStartError) -> FileLock {
        do throws(DataDirectoryError) {
            try data.prepare()
            return try data.lock()
        } catch {
            throw NodeStartError(reason: error.description)
        }
    }

    private func identity() throws(NodeStartError) -> TLSIdentity {
        do throws(TransportError) {
            return try TLSIdentity(configuration.tlsFiles(of: node.id), now: Membership.now())
        } catch {
            throw NodeStartError(reason: "\(error)")
        }
    }

    private func openControlPlane() throws(NodeStartError) -> EtcdControlPlane {
        do throws(ControlPlaneError) {
            return try EtcdControlPlane(configuration.etcd(as: node.id))
        } catch {
            throw NodeStartError(reason: "the control plane cannot be used: \(error)")
        }
    }

    /// Where this node's copy of the ledger is, now or later. Only a ledger of one copy makes its key.
    private func ledgerShelf(
        _ data: DataDirectory, _ cluster: ClusterRegister, _ surroundings: ReplicaSurroundings
    ) -> LedgerShelf {
        let mayMakeKey = node.ledger && otherLedgers.isEmpty
        return LedgerShelf(cluster: cluster.id, on: files, surroundings: surroundings) {
            (replica) throws(DataDirectoryError) in
            guard try data.hasKey() || mayMakeKey else { throw .sharedKeyMissing(path: data.keyFile) }
            let key = try data.masterKey()
            return LedgerSettings(
                directory: data.ledger, cluster: cluster.id, replica: replica, signingKeyPath: data.ledgerKey,
                signingSeed: key.ledgerSigningSeed, recordKey: key.ledgerRecordKey)
        }
    }

    private var otherLedgers: [NodeID] { configuration.ledgerNodes.filter { $0 != node.id } }

    /// Opens the copy of the ledger that this node is configured to keep, before it serves anybody.
    private func openLedger(
        _ ledger: LedgerShelf, _ data: DataDirectory, _ cluster: ClusterRegister, _ membership: Membership
    ) async throws {
        guard node.ledger else { return }
        let begun = try begunLedger(data)
        let others = otherLedgers
        let copy = try await membership.ledgerCopy(
            of: cluster, with: others, minInSync: configuration.ledgerMinInSync)
        guard let copy else { return }
        try membership.requireLedger(begun: begun, begins: copy.begins, directory: data.ledger)
        do throws(DataDirectoryError) {
            try await ledger.open(copy.replica)
        } catch {
            throw NodeStartError(reason: error.description)
        }
    }

    /// Whether there are files of a ledger.
    private func begunLedger(_ data: DataDirectory) throws(NodeStartError) -> Bool {
        do throws(DataDirectoryError) {
            // Before the registers are written: a node that cannot keep its copy is none to begin with.
            guard try data.hasKey() || otherLedgers.isEmpty else { throw .sharedKeyMissing(path: data.keyFile) }
            return try data.hasLedger()
        } catch {
            throw NodeStartError(reason: error.description)
        }
    }
}
