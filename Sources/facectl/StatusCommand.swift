import ArgumentParser
import Foundation

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Is the service whole? One screen.",
        discussion: """
            Nodes, collections and shards as one coordinator sees them. NODE of a shard is that of its primary copy, SYNC \
            counts the copies in sync of those there are, EPOCH rises with each change of the primary. Exit code 1 when \
            the service is not ready.
            """)
    @Flag(help: "Show the screen again every two seconds, until interrupted.")
    var watch = false
    @Flag(help: "One line a shard, however many there are.")
    var shards = false
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    private static let interval = Duration.seconds(2)
    /// Up to so many shards have their lines without being asked for: a screen has 24 lines.
    private static let shardLinesMax = 12

    func validate() throws {
        if watch, output.json { throw ValidationError("--watch is for people, --json for programs.") }
    }

    func run() async throws {
        let connection = try server.connect()
        guard watch else {
            guard try await show(connection) else { throw ExitCode(1) }
            return
        }
        while true {
            Output.clearScreen()
            do {
                _ = try await show(connection)
            } catch let failure as Failure {
                Output.line(failure.text)
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// True when the service is ready.
    private func show(_ connection: ServerConnection) async throws -> Bool {
        let status = Document(try await connection.call("FacetService.GetStatus", [:]).json)
        if output.json {
            try Output.json(status.members)
        } else {
            Output.line("server      \(connection.address)   \(Self.state(status))")
            let screen = StatusScreen(status: status, allShards: shards, shardLinesMax: Self.shardLinesMax)
            screen.show()
        }
        return status.flag("Ready")
    }

    private static func state(_ status: Document) -> String {
        guard status.flag("Ready") else { return "NOT READY" }
        return status.flag("Complete") ? "ready" : "ready, but NOT COMPLETE"
    }
}
