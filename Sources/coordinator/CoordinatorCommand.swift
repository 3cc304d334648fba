import ArgumentParser
import Foundation
import Logging

/// Starts a server. Exit codes: 0 stopped when asked, 64 bad arguments, 78 bad configuration, 1 anything else.
@main
struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Facet's server: a face index that speaks Amazon Rekognition's protocol.")

    @Flag(help: "Run everything in this one process. The only mode there is yet.")
    var embedded = false

    @Option(help: "Configuration file (YAML); see cluster-configs/embedded.yaml.")
    var config: String?

    @Option(help: "Data directory. Overrides the file's 'data'.")
    var data: String?

    @Option(help: "Address to listen on. Overrides 'listen.host'.")
    var host: String?

    @Option(help: "Port to listen on. Overrides 'listen.port'.")
    var port: Int?

    @Option(help: "Log level: \(ServerConfiguration.logLevels.joined(separator: ", ")). Overrides 'log.level'.")
    var logLevel: String?

    func validate() throws {
        guard embedded else { throw ValidationError("Only --embedded exists yet: several nodes are not built.") }
        if let port, !(1...65_535).contains(port) {
            throw ValidationError("--port is \(port); allowed is 1 to 65535.")
        }
        if let logLevel, !ServerConfiguration.logLevels.contains(logLevel) {
            throw ValidationError(
                "--log-level is '\(logLevel)'; allowed are \(ServerConfiguration.logLevels.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        let configuration: ServerConfiguration
        do throws(ConfigurationError) {
            configuration = try merged()
        } catch {
            Self.complain("\(error)")
            throw ExitCode(78)
        }
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = Logger.Level(rawValue: configuration.logLevel) ?? .info
            return handler
        }
        do {
            try await EmbeddedServer(configuration).run()
        } catch let error as ServerError {
            Self.complain(error.description)
            throw ExitCode(1)
        }
    }

    private func merged() throws(ConfigurationError) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        if let config { configuration = try ServerConfiguration(file: config) }
        if let data { configuration.data = data }
        if let host { configuration.host = host }
        if let port { configuration.port = port }
        if let logLevel { configuration.logLevel = logLevel }
        return configuration
    }

    /// One plain line, so that an operator need not search a log for it.
    private static func complain(_ text: String) {
        FileHandle.standardError.write(Data("facet: \(text)\n".utf8))
    }
}
