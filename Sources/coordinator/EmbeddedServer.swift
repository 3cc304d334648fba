import ClusterModel
import ControlPlane
import Coordinator
import FaceExtraction
import FaceModel
import Foundation
import Hummingbird
import KeyHierarchy
import Logging
import Metrics
import RekognitionAPI
import ServiceLifecycle
import ShardEngine
import StorageIO

/// Everything in one process: wires the adapters to the ports and serves until it is told to stop.
struct EmbeddedServer {
    private let configuration: ServerConfiguration
    private let log = Logger(label: "facet")

    init(_ configuration: ServerConfiguration) { self.configuration = configuration }

    func run() async throws {
        let metrics = MetricsRegistry()
        MetricsSystem.bootstrap(metrics)
        let files = POSIXFileSystem()
        let data = DataDirectory(path: configuration.data, files: files)
        let (lock, masterKey) = try open(data)
        defer { withExtendedLifetime(lock) {} }
        let controlPlane = try await openControlPlane(data)
        let keys = RegisterKeyDirectory(controlPlane: controlPlane, masterKey: masterKey)
        try await requireLoopbackWithoutKeys(keys)
        let extractor = try await startExtractor()
        let ledger = LedgerReplica(
            LedgerSettings(
                directory: data.ledger, cluster: try await cluster(controlPlane), signingKeyPath: data.ledgerKey,
                recordKey: masterKey.ledgerRecordKey),
            on: files)
        let node = ShardNode(
            directory: data.shards, files: files, pool: ScanPool(threads: configuration.searchThreads))
        let index = FaceIndex(
            controlPlane: controlPlane, shards: node, ledger: ledger, extractor: extractor, masterKey: masterKey,
            now: Self.now)
        try await start(index)
        try await serve(index, keys: keys, metrics: metrics)
        // In this order: no request runs any more, so nothing is appended behind a closed file.
        await extractor.stop()
        await node.stop()
        await ledger.stop()
    }

    private func serve(_ index: FaceIndex, keys: RegisterKeyDirectory, metrics: MetricsRegistry) async throws {
        let handler = APIHandler(index: index, keys: keys, region: configuration.region, now: Self.now)
        let (host, port, log) = (configuration.host, configuration.port, log)
        let application = APIServer(handler: handler, index: index, metrics: metrics).application(
            host: host, port: port, logger: Self.quiet("facet.http")
        ) {
            log.notice("facet: listening on http://\(host):\(port)")
        }
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: application)], gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Self.quiet("facet.lifecycle")))
        do {
            try await group.run()
        } catch {
            throw Self.listenError(error, host: host, port: port)
        }
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
        do throws(ControlPlaneError) {
            return try SQLiteControlPlane(path: data.controlPlane)
        } catch {
            throw .cannotStart("the control plane cannot be opened: \(error)")
        }
    }

    /// The cluster's id, made at the first start.
    private func cluster(_ controlPlane: SQLiteControlPlane) async throws(ServerError) -> Bits128 {
        do throws(ControlPlaneError) {
            if case .cluster(let cluster)? = try await controlPlane.read(.cluster)?.value { return cluster.id }
            var generator = SystemRandomNumberGenerator()
            let cluster = ClusterRegister(
                id: Bits128.random(using: &generator).stamped(version: 4), formatVersion: 1)
            _ = try await controlPlane.commit(
                RegisterTransaction([.put(.cluster(cluster), expecting: .absent)]))
            return cluster.id
        } catch {
            throw .cannotStart("the cluster's register cannot be used: \(error)")
        }
    }

    private func requireLoopbackWithoutKeys(_ keys: RegisterKeyDirectory) async throws(ServerError) {
        let loopback = ["127.0.0.1", "::1", "localhost"].contains(configuration.host)
        do throws(APIError) {
            guard !loopback, try await keys.isEmpty() else { return }
        } catch {
            throw .cannotStart(error.message)
        }
        throw .openToStrangers(host: configuration.host)
    }

    private func startExtractor() async throws(ServerError) -> ExtractorPool {
        let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("face-extractor").path
        let settings = ExtractorConfiguration(
            executable: configuration.extractorExecutable ?? beside, models: configuration.models,
            library: configuration.runtimeLibrary, processes: configuration.extractorProcesses)
        do throws(FaceExtractionError) {
            return try await ExtractorPool.start(settings, logger: Logger(label: "facet.extractor"))
        } catch {
            throw .cannotStart("the face extractor cannot be started: \(error)")
        }
    }

    private func start(_ index: FaceIndex) async throws(ServerError) {
        do throws(CoordinatorError) {
            try await index.start()
        } catch {
            throw .cannotStart("collections cannot be opened: \(error)")
        }
    }

    private static func now() -> Timestamp {
        Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    }

    /// Libraries say little unless something is wrong.
    private static func quiet(_ label: String) -> Logger {
        var logger = Logger(label: label)
        logger.logLevel = .warning
        return logger
    }

    private static func listenError(_ error: any Error, host: String, port: Int) -> ServerError {
        let text = String(describing: error)
        return text.contains("Address already in use") || text.contains("errno: 98")
            ? .portInUse(host: host, port: port)
            : .cannotStart("cannot serve on \(host):\(port): \(text)")
    }
}
