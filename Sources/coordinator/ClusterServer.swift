import ClusterModel
import ClusterTransport
import ControlPlane
import Coordinator
import FaceModel
import KeyHierarchy
import Metrics
import ServiceConfiguration
import ShardEngine
import StorageIO
import Telemetry

/// One coordinator of a cluster: the same service over other processes' shards and ledger.
struct ClusterServer {
    /// Between two looks for collections whose deletion some node has yet to finish.
    private static let sweepInterval = Duration.seconds(30)
    /// Between two looks for nodes that have started and whose copies are to be opened.
    private static let openInterval = Duration.seconds(1)
    /// How long a start waits for nodes to open their shards; what is not open then is opened when it is asked.
    private static let openLimit = Duration.seconds(5)

    /// Between two steps of replacing copies on nodes that are gone.
    private static let replaceInterval = Duration.seconds(1)

    private let configuration: ClusterConfiguration
    private let coordinator: ClusterConfiguration.Coordinator

    init(_ configuration: ClusterConfiguration, _ coordinator: ClusterConfiguration.Coordinator) {
        self.configuration = configuration
        self.coordinator = coordinator
    }

    func run() async throws {
        let metrics = MetricsRegistry()
        MetricsSystem.bootstrap(metrics)
        let masterKey = try masterKey()
        let identity = try identity()
        let registers = try await openRegisters()
        let connections = NodeConnections(identity: identity) {
            await registers.address(of: $0)
        }
        let service = ClientService(
            settings: configuration.service, metrics: metrics, host: coordinator.listen.host,
            port: coordinator.listen.port, deadline: .seconds(configuration.deadlineSeconds), openLimit: Self.openLimit)
        let extractor = try await service.startExtractor()
        let index = FaceIndex(
            controlPlane: registers.mirror, shards: RemoteShards(connections),
            ledger: RemoteLedger(connections) { await registers.ledgerKeeper() }, extractor: extractor,
            masterKey: masterKey,
            settings: CoordinatorSettings(
                placement: .registeredNodes, shardsPerCollection: configuration.shardsPerCollection,
                replication: ReplicationSettings(
                    copies: configuration.replication.copies, minInSync: configuration.replication.minInSync),
                ledger: LedgerCopies(
                    nodes: configuration.ledgerNodes, minInSync: configuration.ledgerMinInSync),
                replacesAfter: configuration.replication.replacesAfter,
                controlPlaneStaleness: { registers.mirror.staleness.map { "\($0)" } }),
            now: Timestamp.now)
        try await service.serve(
            index, keys: RegisterKeyDirectory(controlPlane: registers.mirror, masterKey: masterKey),
            beside: [
                Repeated(every: Self.sweepInterval, complaint: "deletions cannot be finished now") {
                    () async throws(CoordinatorError) in
                    if try await index.takesSeat() { try await index.finishDeletions() }
                },
                Repeated(every: Self.openInterval, complaint: "copies cannot be opened now") {
                    () async throws(CoordinatorError) in try await index.openCopies(within: Self.openLimit)
                },
                Repeated(every: Self.replaceInterval, complaint: "lost copies cannot be replaced now") {
                    () async throws(CoordinatorError) in try await index.replaceLostCopies()
                },
            ])
        await extractor.stop()
        connections.shut()
        try await registers.stop()
    }

    private func masterKey() throws(ServerError) -> MasterKey {
        do throws(DataDirectoryError) {
            return try DataDirectory.readKey(configuration.keyFile, on: POSIXFileSystem())
        } catch {
            throw .cannotStart("the cluster's key file \(configuration.keyFile): \(error)")
        }
    }

    private func identity() throws(ServerError) -> TLSIdentity {
        do throws(TransportError) {
            return try TLSIdentity(configuration.tlsFiles(of: coordinator.name), now: Timestamp.now())
        } catch {
            throw .cannotStart("\(error)")
        }
    }

    private func openRegisters() async throws(ServerError) -> ClusterRegisters {
        do throws(ControlPlaneError) {
            return try await ClusterRegisters.open(configuration, as: coordinator.name)
        } catch {
            throw .cannotStart("the control plane cannot be used: \(error)")
        }
    }
}

extension ClusterConfiguration.Replication {
    fileprivate var replacesAfter: Duration? { replaceAfterSeconds > 0 ? .seconds(replaceAfterSeconds) : nil }
}
