import ArgumentParser

extension ShardCommand {
    struct Recover: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Go on with one copy of a shard, accepting the loss of what only the others held.",
            discussion: """
                For a shard that no copy may decide for any more: those in sync are gone for good, or the log of the only \
                one proves a loss. Without --accept-loss it only shows what is left and what would be done. With it the \
                copy named, or the one whose log reaches furthest, alone counts from then on; the others learn from it, and a \
                log with a loss is cut before it, for good. It is refused while a copy that counts is there and whole.
                """)
        @Argument(help: "The shard's id, or the beginning of one.") var shard: String
        @Option(help: "The copy to go on with: its id, the beginning of one, or its node.") var copy: String?
        @Flag(help: "Do it: what is said to be lost is lost.") var acceptLoss = false
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let connection = try server.connect()
            let id = try await ShardLine.one(shard, connection).id
            var found = try await Self.ask(connection, id, nil, accepts: false)
            if let copy {
                found = try await Self.ask(connection, id, try Recovery(found).copy(copy), accepts: false)
            }
            if acceptLoss {
                found = try await Self.ask(connection, id, Recovery(found).chosen, accepts: true)
            }
            if output.json { return try Output.json(found.members) }
            Recovery(found).show(id)
        }

        private static func ask(
            _ connection: ServerConnection, _ shard: String, _ copy: String?, accepts: Bool
        ) async throws -> Document {
            var request: [String: Any] = ["Shard": shard, "AcceptLoss": accepts]
            if let copy { request["Copy"] = copy }
            return Document(try await connection.call("FacetService.RecoverShard", request).json)
        }
    }
}

/// What is left of a shard, and the copy that goes on.
private struct Recovery {
    let answer: Document

    init(_ answer: Document) { self.answer = answer }

    var chosen: String { answer.text("Copy") ?? "-" }
    private var copies: [Document] { answer.documents("Copies") }

    /// The id of the one that is meant.
    func copy(_ meant: String) throws -> String {
        let found = copies.filter {
            $0.text("Node") == meant || ($0.text("Replica") ?? "").hasPrefix(meant.lowercased())
        }
        guard let id = found.first?.text("Replica"), found.count == 1 else {
            throw Failure(text: "\(found.count) copies are meant by '\(meant)': name a node, or more of a copy's id")
        }
        return id
    }

    func show(_ shard: String) {
        Output.line("shard \(shard)")
        Output.line()
        Output.table(
            ["COPY", "NODE", "ROLE", "LOG REACHES", "STATE"], copies.map(row), rightAligned: [3])
        Output.line()
        for sentence in losses { Output.line(sentence) }
        Output.line(answer.flag("Done") ? done : proposal)
    }

    private func row(_ copy: Document) -> [String] {
        let end = copy.integer("LogEnd").map { "\($0) (epoch \(copy.count("LogEndEpoch")))" } ?? "-"
        return [
            String((copy.text("Replica") ?? "-").prefix(8)), copy.text("Node") ?? "-", copy.text("Role") ?? "left",
            end, state(copy),
        ]
    }

    private func state(_ copy: Document) -> String {
        switch copy.text("State") {
        case "whole": "whole"
        case "suspect": "whole as far as can be told: its log's end was torn"
        case "lost": "record \(copy.count("LostFrom")) is lost or altered, though it was durable"
        case "unusable": "cannot be opened: \(copy.text("Reason") ?? "-")"
        default: copy.text("Silence") ?? "-"
        }
    }

    /// What of the shard is lost, by log positions.
    private var losses: [String] {
        guard let copy = copies.first(where: { $0.text("Replica") == chosen }) else { return [] }
        var losses: [String] = []
        if copy.text("State") == "lost" {
            losses.append(
                "Lost: record \(copy.count("LostFrom")) and those behind it of the copy's log, as far as its other files do "
                    + "not hold what they did: faces enrolled by them; deletes by them may come undone.")
        }
        let away = copies.filter { ["primary", "in-sync"].contains($0.text("Role")) && $0.text("Replica") != chosen }
        if !away.isEmpty {
            let nodes = away.map { $0.text("Node") ?? "(unknown)" }.joined(separator: ", ")
            losses.append(
                "Lost: whatever was acknowledged behind record \(copy.count("LogEnd")) of epoch "
                    + "\(copy.count("LogEndEpoch")). Only the copies in sync had it (\(nodes)); how much it was nobody who "
                    + "answers knows.")
        }
        return losses
    }

    private var node: String { answer.text("Node") ?? "-" }

    private var proposal: String {
        "With --accept-loss the copy on \(node) goes on alone, in generation \(answer.count("Generation")). "
            + "Nothing is done yet."
    }

    private var done: String {
        let needed = answer.integer("MinInSync") ?? 1
        let go = "The copy on \(node) goes on, in generation \(answer.count("Generation"))."
        guard needed > 1 else { return go }
        return go
            + " It answers once \(needed) copies are in sync: the others that are there follow by themselves; give it "
            + "others with 'facectl shard rebuild' or 'facectl node drain'."
    }
}
