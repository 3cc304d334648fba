import ArgumentParser

/// A copy that is to go from one node to another, or to be made anew on the same.
struct CopyMove {
    let shard: String
    let from: String
    /// Nil: the server chooses.
    let to: String?

    /// Asks for step after step and says how far it is, until it is done.
    func run(_ connection: ServerConnection, seconds: Int) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var said = ""
        while true {
            var request = ["Shard": shard, "From": from]
            if let to { request["To"] = to }
            let reply = Document(try await connection.call("FacetService.MoveCopy", request).json)
            let progress = reply.text("Progress") ?? "-"
            if progress != said {
                Output.line("\(shard.prefix(8))  \(sentence(progress, to: reply.text("To") ?? "-"))")
            }
            said = progress
            if progress == "done" { return }
            guard ContinuousClock.now < deadline else {
                throw Failure(text: "not done after \(seconds) s; the same command goes on with it")
            }
            try await Task.sleep(for: .seconds(1))
        }
    }

    private func sentence(_ progress: String, to: String) -> String {
        switch progress {
        case "copying": "\(to) is being given a copy"
        case "leaving": "the copy on \(to) counts; that on \(from) is leaving"
        case "done": "the copy on \(to) counts"
        default: progress
        }
    }
}

extension ShardCommand {
    struct Move: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Move a shard's copy from one node to another.",
            discussion: """
                A new copy is built on the other node, and counts before the old one goes; the shard is served all the \
                while. Interrupted, it goes on when the same command is given again. The old node need not be there.
                """)
        @Argument(help: "The shard's id, or the beginning of one.") var shard: String
        @Option(help: "The node whose copy goes.") var from: String
        @Option(help: "The node that gets one.") var to: String
        @Option(help: "Seconds to wait until it is done.") var timeout: Int = 3_600
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let connection = try server.connect()
            let id = try await ShardLine.one(shard, connection).id
            try await CopyMove(shard: id, from: from, to: to).run(connection, seconds: timeout)
        }
    }

    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a node's copy of a shard anew, where its files are lost or damaged.",
            discussion: """
                What is left of the copy is removed, and a new one is built from the others. A copy that still counts is \
                left as it is: with 'min_in_sync' copies the shard waits for it, or for another that joins.
                """)
        @Argument(help: "The shard's id, or the beginning of one.") var shard: String
        @Option(help: "The node whose copy is made anew.") var node: String
        @Option(help: "Seconds to wait until it is done.") var timeout: Int = 3_600
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let connection = try server.connect()
            let id = try await ShardLine.one(shard, connection).id
            try await CopyMove(shard: id, from: node, to: node).run(connection, seconds: timeout)
        }
    }

    struct Resign: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have another copy in sync decide for a shard.",
            discussion: "Before its primary's node is stopped, say: nobody then waits until it is missed.")
        @Argument(help: "The shard's id, or the beginning of one.") var shard: String
        @Option(help: "Seconds to wait until another decides.") var timeout: Int = 30
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let connection = try server.connect()
            let before = try await ShardLine.one(shard, connection)
            _ = try await connection.call("FacetService.ResignPrimary", ["Shard": before.id])
            let deadline = ContinuousClock.now + .seconds(timeout)
            while ContinuousClock.now < deadline {
                let after = try await ShardLine.one(before.id, connection)
                if after.epoch > before.epoch, after.primary != before.primary {
                    return Output.line("\(after.primary) decides for it, in epoch \(after.epoch)")
                }
                try await Task.sleep(for: .milliseconds(200))
            }
            throw Failure(text: "\(before.primary) still decides: no other copy in sync could be chosen")
        }
    }
}
