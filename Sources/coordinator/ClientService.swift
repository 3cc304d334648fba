import Coordinator
import FaceExtraction
import FaceModel
import Foundation
import Hummingbird
import Logging
import RekognitionAPI
import ServiceConfiguration
import ServiceLifecycle
import Telemetry

/// What clients see, the same embedded and in a cluster: the face extractor and the HTTP surface.
struct ClientService {
    /// What a request may take on its way in and out, beside the work for it.
    private static let transferAllowance = Duration.seconds(1)

    /// Between two looks for splits that wait for their next step.
    private static let splitInterval = Duration.seconds(1)

    let settings: ServiceSettings
    let metrics: MetricsRegistry
    let host: String
    let port: Int
    var deadline = Duration.seconds(Limits.requestDeadlineSeconds)
    /// How long a start waits for shards to open; what is not open then is opened when it is asked.
    var openLimit = Duration.seconds(600)

    func startExtractor() async throws(ServerError) -> ExtractorPool {
        let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("face-extractor").path
        let extractor = ExtractorConfiguration(
            executable: settings.extractorExecutable ?? beside, models: settings.models,
            library: settings.runtimeLibrary, processes: settings.extractorProcesses)
        do throws(FaceExtractionError) {
            return try await ExtractorPool.start(extractor, logger: Logger(label: "facet.extractor"))
        } catch {
            throw .cannotStart("the face extractor cannot be started: \(error)")
        }
    }

    /// Opens the collections, then answers until the process is told to stop. `beside` run as long as it answers.
    func serve(_ index: FaceIndex, keys: RegisterKeyDirectory, beside services: [any Service] = []) async throws {
        try await requireLoopbackWithoutKeys(keys)
        do throws(CoordinatorError) {
            try await index.start(within: openLimit)
        } catch {
            throw ServerError.cannotStart("collections cannot be opened: \(error)")
        }
        let application = application(index, keys)
        let group = ServiceGroup(
            configuration: .init(
                services: (services + Self.standing(index) + [application]).map { .init(service: $0) },
                gracefulShutdownSignals: [.sigterm, .sigint], logger: LogOutput.quiet("facet.lifecycle")))
        do {
            try await group.run()
        } catch {
            throw Self.listenError(error, host: host, port: port)
        }
    }

    /// Keeps up with who is suspended.
    private static func standing(_ index: FaceIndex) -> [any Service] {
        [
            Repeated(every: .milliseconds(Limits.standingAskMilliseconds), complaint: "the ledger cannot be asked now")
            {
                () async throws(CoordinatorError) in await index.refreshStanding()
            },
            Repeated(
                every: .milliseconds(Limits.revocationSweepMilliseconds),
                complaint: "revoked keys cannot be put into the ledger now"
            ) { () async throws(CoordinatorError) in try await index.carryRevocations() },
            Repeated(every: splitInterval, complaint: "splits of shards cannot go on now") {
                () async throws(CoordinatorError) in try await index.advanceSplits()
            },
        ]
    }

    private func application(_ index: FaceIndex, _ keys: RegisterKeyDirectory) -> any Service {
        let handler = APIHandler(
            index: index, keys: keys, region: settings.region, deadline: deadline, now: Timestamp.now)
        let server = APIServer(
            handler: handler, index: index, metrics: metrics, deadline: deadline + Self.transferAllowance)
        let (host, port, log) = (host, port, Logger(label: "facet"))
        return server.application(host: host, port: port, logger: LogOutput.quiet("facet.http")) {
            log.notice("facet: listening on http://\(host):\(port)")
        }
    }

    private func requireLoopbackWithoutKeys(_ keys: RegisterKeyDirectory) async throws(ServerError) {
        let loopback = ["127.0.0.1", "::1", "localhost"].contains(host)
        do throws(APIError) {
            guard !loopback, try await keys.isEmpty() else { return }
        } catch {
            throw .cannotStart(error.message)
        }
        throw .openToStrangers(host: host)
    }

    private static func listenError(_ error: any Error, host: String, port: Int) -> ServerError {
        let text = String(describing: error)
        return text.contains("Address already in use") || text.contains("errno: 98")
            ? .portInUse(host: host, port: port)
            : .cannotStart("cannot serve on \(host):\(port): \(text)")
    }
}

extension Timestamp {
    static func now() -> Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) }
}
