import ArgumentParser
import Foundation
import ServiceConfiguration
import Telemetry

/// Starts a server. Exit codes: 0 stopped when asked, 64 bad arguments, 78 bad configuration, 1 anything else.
@main
struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Facet's server: a face index that speaks Amazon Rekognition's protocol.",
        discussion: """
            With --embedded everything runs in this one process. Without it the process is one of the coordinators of the \
            cluster that --config describes, and --name says which.
            """)

    @Flag(help: "Run everything in this one process.")
    var embedded = false

    @Option(help: "Configuration file (YAML); see cluster-configs/embedded.yaml and cluster-configs/lab.yaml.")
    var config: String?

    @Option(help: "This coordinator's name in the cluster's configuration file.")
    var name: String?

    @Option(help: "Data directory of an embedded server. Overrides the file's 'data'.")
    var data: String?

    @Option(help: "Address to listen on. Overrides the file.")
    var host: String?

    @Option(help: "Port to listen on. Overrides the file.")
    var port: Int?

    @Option(help: "Log level: \(ServiceSettings.logLevels.joined(separator: ", ")). Overrides 'log.level'.")
    var logLevel: String?

    func validate() throws {
        if embedded, name != nil { throw ValidationError("--name is for a cluster; --embedded has one process.") }
        if !embedded, config == nil || name == nil {
            throw ValidationError("Say --embedded, or --config FILE and --name NAME for a coordinator of a cluster.")
        }
        if !embedded, data != nil { throw ValidationError("--data is for --embedded; a coordinator keeps no data.") }
        if let port, !(1...65_535).contains(port) {
            throw ValidationError("--port is \(port); allowed is 1 to 65535.")
        }
        if let logLevel, !ServiceSettings.logLevels.contains(logLevel) {
            throw ValidationError(
                "--log-level is '\(logLevel)'; allowed are \(ServiceSettings.logLevels.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        do {
            if embedded { try await runEmbedded() } else { try await runInCluster() }
        } catch let error as ConfigurationError {
            Self.complain("\(error)")
            throw ExitCode(78)
        } catch let error as ServerError {
            Self.complain(error.description)
            throw ExitCode(1)
        }
    }

    private func runEmbedded() async throws {
        var configuration = EmbeddedConfiguration()
        if let config { configuration = try EmbeddedConfiguration(file: config) }
        if let data { configuration.data = data }
        if let host { configuration.host = host }
        if let port { configuration.port = port }
        if let logLevel { configuration.service.logLevel = logLevel }
        LogOutput.start(level: configuration.service.logLevel)
        try await EmbeddedServer(configuration).run()
    }

    private func runInCluster() async throws {
        guard let config, let name else { preconditionFailure("validate() asks for both") }
        var configuration = try ClusterConfiguration(file: config)
        var coordinator = try configuration.coordinator(name, file: config)
        if let host { coordinator.listen.host = host }
        if let port { coordinator.listen.port = port }
        if let logLevel { configuration.service.logLevel = logLevel }
        LogOutput.start(level: configuration.service.logLevel)
        try await ClusterServer(configuration, coordinator).run()
    }

    /// One plain line, so that an operator need not search a log for it.
    private static func complain(_ text: String) {
        FileHandle.standardError.write(Data("facet: \(text)\n".utf8))
    }
}
