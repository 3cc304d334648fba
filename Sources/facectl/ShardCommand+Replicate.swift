import ArgumentParser

extension ShardCommand {
    struct Replicate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a shard, or all, as many copies as the cluster's configuration says.",
            discussion: """
                For shards that were made when fewer were configured, or before 'facectl control grow'. Copies are built \
                on nodes that have none while the shard is served; when all are in sync, as many of them as \
                'min_in_sync' says must have a record before it is acknowledged. Without a shard it sees to all of the \
                account, one after the other; with a key of the operators' account to every account's, and to the \
                ledger, whose copies go to nodes with 'ledger: true' and the ledger's key file. Interrupted, it goes on \
                when the same command is given again.
                """)
        @Argument(help: "The shard's id, or the beginning of one.") var shard: String?
        @Option(help: "Seconds to wait for one shard.") var timeout: Int = 3_600
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let connection = try server.connect()
            var shards = try await ShardLine.all(connection)
            if let shard { shards = [try await ShardLine.one(shard, connection)] }
            // The ledger last: not every key may see to it.
            for shard in shards.filter({ !$0.isLedger }) + shards.filter(\.isLedger) {
                try await replicate(shard, connection)
            }
            if shards.isEmpty { Output.line("the account has no shards") }
        }

        private func replicate(_ shard: ShardLine, _ connection: ServerConnection) async throws {
            let deadline = ContinuousClock.now + .seconds(timeout)
            var said = ""
            while true {
                let reply = Document(
                    try await connection.call("FacetService.ReplicateShard", ["Shard": shard.id]).json)
                let sentence = "\(shard.id.prefix(8))  \(shard.collection)  \(sentence(reply))"
                if sentence != said { Output.line(sentence) }
                said = sentence
                if reply.flag("Done") { return }
                guard ContinuousClock.now < deadline else {
                    throw Failure(text: "not done after \(timeout) s; the same command goes on with it")
                }
                try await Task.sleep(for: .seconds(1))
            }
        }

        private func sentence(_ reply: Document) -> String {
            let count = "\(reply.count("CopiesInSync")) of \(reply.count("Copies")) copies in sync"
            return reply.flag("Done") ? "\(count), at least \(reply.count("MinInSync")) acknowledge" : count
        }
    }
}
