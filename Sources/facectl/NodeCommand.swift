import ArgumentParser

struct NodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "See to a node of a cluster.", subcommands: [Drain.self])

    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Move every copy of the account's shards away from a node.",
            discussion: """
                One after the other, each to a node that a new shard would get; with a key of the operators' account every \
                account's. The node need not be there: where its disk is lost this gives every shard its full number of \
                copies again. Interrupted, it goes on when the same command is given again. A copy of the ledger is moved \
                by 'facectl shard move', to a node that has the ledger's key file.
                """)
        @Argument(help: "The node's name.") var node: String
        @Option(help: "Seconds to wait for one shard.") var timeout: Int = 3_600
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let connection = try server.connect()
            for shard in try await shards(connection) where !shard.isLedger {
                try await CopyMove(shard: shard.id, from: node, to: nil).run(connection, seconds: timeout)
            }
            let left = try await shards(connection)
            guard left.allSatisfy(\.isLedger) else {
                throw Failure(text: "\(left.count) shards still have copies on \(node): give the same command again")
            }
            Output.line(left.isEmpty ? "\(node) has no copies" : "\(node) has a copy of the ledger, and no other")
        }

        /// That have a copy on the node.
        private func shards(_ connection: ServerConnection) async throws -> [ShardLine] {
            let status = Document(try await connection.call("FacetService.GetStatus", [:]).json)
            guard status.documents("Nodes").contains(where: { $0.text("Node") == node }) else {
                throw Failure(text: "there is no node '\(node)'; 'facectl status' shows those there are")
            }
            return ShardLine.all(status).filter { $0.nodes.contains(node) }
        }
    }
}
