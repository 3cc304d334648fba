import ClusterModel
import ControlPlane
import Coordinator
import FaceModel
import KeyHierarchy
import Metrics
import ServiceConfiguration
import ServiceLifecycle
import ShardEngine
import StorageIO
import Telemetry

/// Everything in one process: wires the adapters to the ports and serves until it is told to stop.
struct EmbeddedServer {
    private let configuration: EmbeddedConfiguration

    init(_ configuration: EmbeddedConfiguration) { self.configuration = configuration }

    func run() async throws {
        let metrics = MetricsRegistry()
        MetricsSystem.bootstrap(metrics)
        let files = POSIXFileSystem()
        let data = DataDirectory(path: configuration.data, files: files)
        let (lock, masterKey) = try open(data)
        defer { withExtendedLifetime(lock) {} }
        let controlPlane = try await openControlPlane(data)
        let service = ClientService(
            settings: configuration.service, metrics: metrics, host: configuration.host, port: configuration.port)
        let extractor = try await service.startExtractor()
        let surroundings = ReplicaSurroundings(
            node: .embedded, incarnation: try await incarnation(data, controlPlane),
            registers: ControlPlaneShards(controlPlane), post: NoPost())
        let ledger = try await openLedger(data, controlPlane, masterKey, surroundings)
        if configuration.service.lockMemory, let refusal = MemoryLock.refusal(bytes: 0) {
            throw ServerError.cannotStart(refusal)
        }
        let node = ShardNode(
            directory: data.shards, files: files, pool: ScanPool(threads: configuration.service.searchThreads),
            surroundings: surroundings, locksMemory: configuration.service.lockMemory,
            mapsPlanes: configuration.service.mapPlanes, ledgerDirectory: data.ledger)
        let index = FaceIndex(
            controlPlane: controlPlane, shards: node, ledger: ledger, extractor: extractor, masterKey: masterKey,
            now: Timestamp.now)
        try await service.serve(
            index, keys: RegisterKeyDirectory(controlPlane: controlPlane, masterKey: masterKey), beside: scrubs(node))
        // In this order: no request runs any more, so nothing is appended behind a closed file.
        await extractor.stop()
        await node.stop()
        await ledger.stop()
    }

    /// None where the files are not to be read.
    private func scrubs(_ node: ShardNode) -> [any Service] {
        let seconds = configuration.service.scrubAfterSeconds
        return seconds > 0 ? [ScrubService(scrubber: Scrubber(of: node, every: .seconds(seconds)))] : []
    }

    private func open(_ data: DataDirectory) throws(ServerError) -> (FileLock, MasterKey) {
        do throws(DataDirectoryError) {
            try data.prepare()
            return (try data.lock(), try data.masterKey())
        } catch {
            throw .cannotStart(error.description)
        }
    }

    private func openControlPlane(_ data: DataDirectory) async throws(ServerError) -> SQLiteControlPlane {
        let (registers, cluster): (SQLiteControlPlane, String?)
        do throws(ControlPlaneError) {
            registers = try SQLiteControlPlane(path: data.controlPlane)
            cluster = try await registers.movedTo()
        } catch {
            throw .cannotStart("the control plane cannot be opened: \(error)")
        }
        guard let cluster else { return registers }
        throw .cannotStart(
            "what is in \(data.path) belongs to the cluster '\(cluster)' since 'facectl control grow': start that cluster's "
                + "nodes and coordinators")
    }

    /// The only copy; a ledger of earlier releases is taken over as it is.
    private func openLedger(
        _ data: DataDirectory, _ controlPlane: SQLiteControlPlane, _ masterKey: MasterKey,
        _ surroundings: ReplicaSurroundings
    ) async throws(ServerError) -> LedgerReplica {
        let cluster = try await cluster(controlPlane)
        var generator = SystemRandomNumberGenerator()
        do throws(ControlPlaneError) {
            _ = try await LedgerPlacement(cluster: cluster, in: controlPlane).copy(
                of: .embedded, with: [], minInSync: 1, using: &generator)
        } catch {
            throw .cannotStart("the ledger's registers cannot be used: \(error)")
        }
        return await LedgerReplica.open(
            LedgerSettings(
                directory: data.ledger, cluster: cluster, signingKeyPath: data.ledgerKey,
                signingSeed: masterKey.ledgerSigningSeed, recordKey: masterKey.ledgerRecordKey),
            on: POSIXFileSystem(), surroundings: surroundings)
    }

    /// Of this start, by which a shard's register tells it from those before.
    private func incarnation(
        _ data: DataDirectory, _ controlPlane: SQLiteControlPlane
    ) async throws(ServerError) -> Incarnation {
        do throws(NodeIncarnationError) {
            return try await NodeIncarnation.raise(
                node: .embedded, directory: data.path, files: POSIXFileSystem(), controlPlane: controlPlane)
        } catch {
            throw .cannotStart(error.description)
        }
    }

    private func cluster(_ controlPlane: SQLiteControlPlane) async throws(ServerError) -> Bits128 {
        var generator = SystemRandomNumberGenerator()
        do throws(ControlPlaneError) {
            return try await controlPlane.cluster(makingWith: &generator).id
        } catch {
            throw .cannotStart("the cluster's register cannot be used: \(error)")
        }
    }
}

/// Has the files read whole once in a while.
struct ScrubService: Service {
    let scrubber: Scrubber

    func run() async {
        await cancelWhenGracefulShutdown { await scrubber.run() }
    }
}
