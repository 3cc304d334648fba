import ArgumentParser
import Foundation

/// Exit codes: 0 done; 1 refused or failed, with one line on standard error that says why; 2 done in part (import);
/// 3 the ledger does not verify; 64 wrong use.
@main
struct FacectlCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "facectl",
        abstract: "Operates a Facet server.",
        discussion: """
            'keys' and 'ledger verify' open the data directory themselves, whether a server runs on it or not; with --config \
            'keys' works on a cluster's registers. 'certs' works on files. Everything else is a signed request: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and FACET_ENDPOINT or --endpoint \
            (default http://127.0.0.1:8900).
            """,
        subcommands: [
            KeysCommand.self, TenantCommand.self, CollectionCommand.self, ShardCommand.self, NodeCommand.self,
            ControlCommand.self, ImportCommand.self, SearchCommand.self, LedgerCommand.self, StatusCommand.self,
            CertsCommand.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            FileHandle.standardError.write(Data("facectl: \(failure.text)\n".utf8))
            Foundation.exit(failure.exitCode)
        } catch {
            exit(withError: error)
        }
    }
}

/// What went wrong, to what, and what to do about it.
struct Failure: Error {
    var text: String
    var exitCode: Int32 = 1
}

/// Output for programs instead of people.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON for programs instead of a table for people.")
    var json = false
}

/// The data directory, for the commands that open it themselves.
struct DataOptions: ParsableArguments {
    static let standard = ".facet/data"

    @Option(help: "The server's data directory.")
    var data = standard
}
