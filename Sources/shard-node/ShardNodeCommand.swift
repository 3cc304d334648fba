import ArgumentParser
import Foundation
import ServiceConfiguration
import Telemetry

/// Starts a node. Exit codes: 0 stopped when asked, 64 bad arguments, 78 bad configuration, 1 anything else.
@main
struct ShardNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard-node", abstract: "One of Facet's shard nodes: keeps shards and searches them.")

    @Option(help: "The cluster's configuration file (YAML); see cluster-configs/lab.yaml.")
    var config: String

    @Option(help: "This node's name in the file.")
    var name: String

    @Option(help: "Log level: \(ServiceSettings.logLevels.joined(separator: ", ")). Overrides 'log.level'.")
    var logLevel: String?

    func validate() throws {
        if let logLevel, !ServiceSettings.logLevels.contains(logLevel) {
            throw ValidationError(
                "--log-level is '\(logLevel)'; allowed are \(ServiceSettings.logLevels.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        do {
            let configuration = try ClusterConfiguration(file: config)
            let node = try configuration.node(name, file: config)
            LogOutput.start(level: logLevel ?? configuration.service.logLevel)
            try await NodeProcess(configuration, node).run()
        } catch let error as ConfigurationError {
            Self.complain("\(error)")
            throw ExitCode(78)
        } catch let error as NodeStartError {
            Self.complain(error.reason)
            throw ExitCode(1)
        }
    }

    /// One plain line, so that an operator need not search a log for it.
    private static func complain(_ text: String) {
        FileHandle.standardError.write(Data("facet: \(text)\n".utf8))
    }
}

/// Why a node does not start, in words an operator can act on.
struct NodeStartError: Error {
    var reason: String
}
