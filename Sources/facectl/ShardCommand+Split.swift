import ArgumentParser
import Foundation

extension ShardCommand {
    struct Split: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace a shard that has grown too large by two.",
            discussion: """
                Each copy makes files of two halves beside its own, while the shard goes on as ever. Then they are brought \
                up with the last writes, for which new ones wait a moment, the halves take the shard's place at once, and \
                its files are removed. Interrupted, the coordinators go on with it. With --abort the shard stays whole, \
                where its halves do not answer yet.
                """)
        @Argument(help: "The shard's id, or the beginning of one.") var shard: String
        @Flag(help: "Give the split up.") var abort = false
        @Option(help: "Seconds to wait until it is done.") var timeout: Int = 3_600
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let connection = try server.connect()
            let id = try await ShardLine.one(shard, connection).id
            let deadline = ContinuousClock.now + .seconds(timeout)
            var said = ""
            while true {
                let reply = try await step(id, connection, began: !said.isEmpty)
                guard let reply else { return Output.line("\(id.prefix(8))  is split") }
                let sentence = Self.sentence(reply)
                if sentence != said { Output.line("\(id.prefix(8))  \(sentence)") }
                said = sentence
                if ["done", "aborted"].contains(reply.text("Stage")) { return }
                guard ContinuousClock.now < deadline else {
                    throw Failure(text: "not done after \(timeout) s; the coordinators go on with it")
                }
                try await Task.sleep(for: .milliseconds(500))
            }
        }

        /// Nil where somebody else has done the last step: then the shard is in no map, and its split in no register.
        private func step(_ id: String, _ connection: ServerConnection, began: Bool) async throws -> Document? {
            var request: [String: Any] = ["Shard": id]
            if abort { request["Abort"] = true }
            do {
                let body = try JSONSerialization.data(withJSONObject: request)
                return Document(try await connection.send("FacetService.SplitShard", body).json)
            } catch let refusal as ServerConnection.Refusal {
                if began, refusal.code == "ResourceNotFoundException" { return nil }
                throw Failure(text: "\(refusal.code): \(refusal.message)")
            }
        }

        private static func sentence(_ reply: Document) -> String {
            let trouble = reply.text("Trouble").map { "; it waits: \($0)" } ?? ""
            let halves = reply.texts("Halves").map { String($0.prefix(8)) }.joined(separator: " and ")
            switch reply.text("Stage") {
            case "drafting": return "its copies make files of \(halves)\(trouble)"
            case "dividing": return "its copies bring \(halves) up with the last writes; it takes no new ones\(trouble)"
            case "publishing": return "\(halves) are about to take its place\(trouble)"
            case "removing": return "\(halves) answer in its place; its own files are being removed\(trouble)"
            case "done": return "is split into \(halves)"
            case "aborted": return "stays whole"
            default: return reply.text("Stage") ?? "-"
            }
        }
    }
}
