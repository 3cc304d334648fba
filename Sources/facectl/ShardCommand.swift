import ArgumentParser

struct ShardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard", abstract: "List and show shards and their copies, and say where those are.",
        subcommands: [
            List.self, Show.self, Move.self, Rebuild.self, Resign.self, Replicate.self, Recover.self,
            Split.self,
        ])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the shards of the account's collections: where their copies are, and who decides.",
            discussion: """
                IN SYNC counts the copies that have, or will have before they answer, all that was acknowledged, of \
                those there are. EPOCH rises when another copy becomes the primary.
                """)
        @Option(help: "Only of this collection.") var collection: String?
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let shards = try await ShardLine.all(server.connect()).filter { shard in
                collection.map { shard.collection == $0 } ?? true
            }
            if output.json { return try Output.json(shards.map(\.json)) }
            Output.table(
                ["SHARD", "COLLECTION", "PRIMARY", "IN SYNC", "EPOCH", "OTHERS", "STATE"], shards.map(\.row),
                rightAligned: [3, 4])
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one shard's registers as they stand.")
        @Argument(help: "The shard's id, or the beginning of one.") var shard: String
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let line = try await ShardLine.one(shard, server.connect())
            if output.json { return try Output.json(line.json) }
            line.show()
        }
    }
}

/// One shard of the answer of `GetStatus`.
struct ShardLine {
    let collection: String
    let status: Document

    private static let ledger = "(ledger)"

    static func all(_ connection: ServerConnection) async throws -> [ShardLine] {
        all(Document(try await connection.call("FacetService.GetStatus", [:]).json))
    }

    /// Of an answer of `GetStatus`.
    static func all(_ status: Document) -> [ShardLine] {
        let ledger = status.document("Ledger")
        let faces = status.documents("Collections").flatMap { collection in
            collection.documents("Shards").map {
                ShardLine(collection: collection.text("CollectionId") ?? "-", status: $0)
            }
        }
        return faces + (ledger.has("Copies") ? [ShardLine(collection: Self.ledger, status: ledger)] : [])
    }

    /// The shard whose id begins so.
    static func one(_ beginning: String, _ connection: ServerConnection) async throws -> ShardLine {
        let found = try await all(connection).filter { $0.id.hasPrefix(beginning.lowercased()) }
        guard let line = found.first else {
            throw Failure(text: "there is no shard '\(beginning)'; 'facectl shard list' shows those there are")
        }
        guard found.count == 1 else {
            throw Failure(text: "\(found.count) shards begin with '\(beginning)'; say more of the id")
        }
        return line
    }

    var id: String { status.text("Shard") ?? "-" }
    var epoch: Int { status.integer("Epoch") ?? 0 }
    private var copies: [Document] { status.documents("Copies") }
    /// Of every copy, whether it counts or not.
    var nodes: [String] { copies.compactMap { $0.text("Node") } }
    var isLedger: Bool { collection == Self.ledger }
    var primary: String { copies.first { $0.text("Role") == "primary" }?.text("Node") ?? "-" }

    var json: [String: Any] { status.members.merging(["CollectionId": collection]) { _, new in new } }

    var row: [String] {
        let others = copies.filter { $0.text("Role") != "primary" }.map { copy in
            (copy.text("Node") ?? "-") + (copy.text("Role") == "learner" ? " (learner)" : "")
        }
        return [
            String(id.prefix(8)), collection, primary, status.copiesInSync, status.count("Epoch"),
            others.isEmpty ? "-" : others.joined(separator: ", "), state,
        ]
    }

    private var state: String {
        if let reason = status.text("Unavailable") { return "NO ANSWER: \(reason)" }
        if let reason = status.text("WritesRefused") { return "no writes: \(reason)" }
        return status.isDegraded ? "DEGRADED" : "ok"
    }

    func show() {
        Output.line("shard        \(id)")
        Output.line("collection   \(collection)")
        Output.line("state        \(state)")
        guard status.has("Copies") else {
            return Output.line("registers    none yet: the shard was made before there were any")
        }
        Output.line("generation   \(status.count("Generation"))   losses that an operator has accepted")
        Output.line("version      \(status.count("Version"))   changes of members")
        Output.line("epoch        \(status.count("Epoch"))   changes of the primary")
        Output.line("in sync      \(status.copiesInSync), at least \(status.count("MinInSync"))")
        Output.line()
        Output.table(
            ["REPLICA", "NODE", "ROLE"],
            copies.map { [$0.text("Replica") ?? "-", $0.text("Node") ?? "-", $0.text("Role") ?? "-"] })
    }
}

extension Document {
    func count(_ name: String) -> String { integer(name).map { "\($0)" } ?? "-" }

    /// Of a shard: "2/3".
    var copiesInSync: String { has("Copies") ? "\(count("CopiesInSync"))/\(documents("Copies").count)" : "-" }
    var isDegraded: Bool { has("Copies") && (integer("CopiesInSync") ?? 0) < documents("Copies").count }
}
