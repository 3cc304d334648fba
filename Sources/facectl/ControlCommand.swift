import ArgumentParser

struct ControlCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "control", abstract: "See to the control plane.", subcommands: [Grow.self, Rebuild.self])

    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the registers of shards and copies anew, from what the nodes remember.",
            discussion: """
                For a control plane that was restored from a backup, or lost its registers of shards. First stop the nodes, \
                restore the backup, and start nodes and coordinators: accounts, access keys, collections and their maps are \
                nowhere but in the control plane, and no node can give them back. Then each shard whose copies know of newer \
                registers gets new ones: of the copies that count by the newest, the one whose log reaches furthest goes on, \
                the others learn. Shards whose registers are as new as their copies know are left alone, so it may be given \
                again. It takes a key of the operators' account.
                """)
        @Option(help: "A node that is lost for good; may be given more than once. All others must answer.")
        var without: [String] = []
        @Flag(help: "Only show what would be done.") var dryRun = false
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let reply = try await server.connect().call(
                "FacetService.RebuildRegisters", ["Without": without, "DryRun": dryRun])
            if output.json { return try Output.json(reply.json) }
            let shards = Document(reply.json).documents("Shards").map(RebuiltShard.init)
            let news = shards.filter { !$0.isCurrent }
            if !news.isEmpty {
                Output.table(["SHARD", "COLLECTION", dryRun ? "WOULD BE" : "IS"], news.map(\.row))
                Output.line()
            }
            let current = shards.count - news.count
            Output.line("\(current) of \(shards.count) shards have registers as new as their copies know.")
            Output.line(
                "Accounts, access keys, collections and maps are as the control plane has them: nodes do not know them."
            )
            if news.contains(where: \.isUnsettled) {
                throw Failure(text: "not every shard could be seen to; see above")
            }
        }
    }
}

private struct RebuiltShard {
    let shard: Document

    init(_ shard: Document) { self.shard = shard }

    private var outcome: String { shard.text("Outcome") ?? "-" }
    var isCurrent: Bool { outcome == "current" }
    var isUnsettled: Bool { ["no-member-left", "held-by-nobody", "contested"].contains(outcome) }

    var row: [String] {
        let collection = shard.flag("Ledger") ? "(ledger)" : shard.text("CollectionId") ?? "-"
        return [String((shard.text("Shard") ?? "-").prefix(8)), collection, sentence]
    }

    private var sentence: String {
        switch outcome {
        case "rebuilt":
            "made anew: the copy on \(shard.text("Node") ?? "-") goes on in generation \(shard.count("Generation")), "
                + "\(shard.count("Learners")) others learn"
        case "no-member-left":
            "left: no copy that counts by its newest register is there and whole; see 'facectl shard recover'"
        case "held-by-nobody": "left: no node has files of it; start the nodes that are missing, or restore its files"
        case "in-no-map":
            "left: \(shard.texts("Nodes").joined(separator: ", ")) hold it, and no collection's map names it: made after the "
                + "backup, or deleted before. Restore a newer backup if there is one; the files stay where they are"
        case "contested": "left: somebody else changed its registers meanwhile; give the command again"
        default: outcome
        }
    }
}
