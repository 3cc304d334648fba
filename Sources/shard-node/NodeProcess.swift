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
        let ledger = try await node.ledger ? openLedger(data, cluster, membership, surroundings) : nil
        let shards = ShardNode(
            directory: data.shards, files: files, pool: ScanPool(threads: configuration.service.searchThreads),
            surroundings: surroundings, capacityBytes: node.memoryBytes, locksMemory: configuration.service.lockMemory,
            mapsPlanes: configuration.service.mapPlanes)
        try await serve(
            shards, ledger, identity, metrics,
            CopyKeeper(of: node.id, shards: shards, ledger: ledger, controlPlane: mirror))
        // In this order: no request runs any more, so nothing is written behind a closed file.
        await shards.stop()
        connections.shut()
        await ledger?.stop()
        await mirror.stop()
        try await store.shutdown()
    }

    private func serve(
        _ shards: ShardNode, _ ledger: LedgerReplica?, _ identity: TLSIdentity, _ metrics: MetricsRegistry,
        _ keeper: CopyKeeper
    ) async throws {
        let server = NodeServer(
            shards: shards, ledger: ledger, replicas: NodeReplicas(shards: shards, ledger: ledger), identity: identity)
        let watch = NodeWatch(node: node.id, shards: shards, ledger: ledger)
        let monitor = MonitorServer(
            metrics: metrics, gauges: { await watch.gauges() }, problems: { await watch.problems() })
        let (log, listen) = (log, node.listen)
        let service = TransportService(server: server, address: listen) { bound in
            log.notice("facet: listening on \(bound)", metadata: ["node": "\(identity.identity.name)"])
        }
        let group = ServiceGroup(
            configuration: .init(
                services: [
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

    /// This node's copy of the ledger; nil where it is to keep none.
    private func openLedger(
        _ data: DataDirectory, _ cluster: ClusterRegister, _ membership: Membership,
        _ surroundings: ReplicaSurroundings
    ) async throws -> LedgerReplica? {
        let others = configuration.nodes.filter { $0.ledger && $0.id != node.id }.map(\.id)
        let begun = try begunLedger(data, isShared: !others.isEmpty)
        let minInSync = others.isEmpty ? 1 : min(configuration.replication.minInSync, others.count)
        guard let copy = try await membership.ledgerCopy(of: cluster, with: others, minInSync: minInSync) else {
            return nil
        }
        try membership.requireLedger(begun: begun, begins: copy.begins, directory: data.ledger)
        let key = try ledgerKey(data)
        return await LedgerReplica.open(
            LedgerSettings(
                directory: data.ledger, cluster: cluster.id, replica: copy.replica, signingKeyPath: data.ledgerKey,
                signingSeed: key.ledgerSigningSeed, recordKey: key.ledgerRecordKey),
            on: files, surroundings: surroundings)
    }

    /// Whether there are files of a ledger. Copies are of use only under one key, which no node can make for the others.
    private func begunLedger(_ data: DataDirectory, isShared: Bool) throws(NodeStartError) -> Bool {
        let (hasKey, begun): (Bool, Bool)
        do throws(DataDirectoryError) {
            (hasKey, begun) = (try data.hasKey(), try data.hasLedger())
        } catch {
            throw NodeStartError(reason: error.description)
        }
        guard hasKey || !isShared else {
            throw NodeStartError(
                reason: "this node is to keep a copy of the ledger, and its key file \(data.keyFile) is missing: put "
                    + "the same 32 random bytes there on every node that keeps one")
        }
        return begun
    }

    private func ledgerKey(_ data: DataDirectory) throws(NodeStartError) -> MasterKey {
        do throws(DataDirectoryError) {
            return try data.masterKey()
        } catch {
            throw NodeStartError(reason: error.description)
        }
    }
}
