import ArgumentParser

struct CollectionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collection", abstract: "Make, list, show and delete collections.",
        subcommands: [Create.self, List.self, Show.self, Delete.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make an empty collection for the server's model.")
        @Argument(help: "The collection's id: 1 to 255 characters of a-z A-Z 0-9 _ . -") var collection: String
        @Option(help: "How many shards hold it, for its whole life so far. Default: as the server is configured.")
        var shards: Int?
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            var request: [String: Any] = ["CollectionId": collection]
            request["Shards"] = shards
            let reply = try await server.connect().call("FacetService.CreateCollection", request)
            if output.json { return try Output.json(reply.json) }
            Output.line("\(collection) is made.")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the account's collections.")
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let connection = try server.connect()
            var rows: [[String]] = []
            var token: String?
            repeat {
                let reply = Document(
                    try await connection.call(
                        "RekognitionService.ListCollections", token.map { ["NextToken": $0] } ?? [:]
                    ).json)
                rows += zip(reply.texts("CollectionIds"), reply.texts("FaceModelVersions")).map { [$0, $1] }
                token = reply.text("NextToken")
            } while token != nil
            if output.json {
                return try Output.json(rows.map { ["CollectionId": $0[0], "FaceModelVersion": $0[1]] })
            }
            Output.table(["COLLECTION", "MODEL"], rows)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one collection.")
        @Argument(help: "The collection's id.") var collection: String
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let reply = try await server.connect().call(
                "RekognitionService.DescribeCollection", ["CollectionId": collection])
            let shown = Document(reply.json)
            if output.json {
                return try Output.json(reply.json.merging(["CollectionId": collection]) { _, new in new })
            }
            Output.line("collection  \(collection)")
            Output.line("arn         \(shown.text("CollectionARN") ?? "-")")
            Output.line("faces       \(shown.integer("FaceCount") ?? 0)")
            Output.line("model       \(shown.text("FaceModelVersion") ?? "-")")
            Output.line("created     \(Output.time(shown.number("CreationTimestamp") ?? 0))")
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete a collection and every face in it.")
        @Argument(help: "The collection's id.") var collection: String
        @Flag(help: "Really: there is no way back.") var yes = false
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            guard yes else {
                throw Failure(text: "deleting '\(collection)' removes every face in it for good; say --yes to do it")
            }
            _ = try await server.connect().call("RekognitionService.DeleteCollection", ["CollectionId": collection])
            if output.json { return try Output.json(["CollectionId": collection, "Deleted": true]) }
            Output.line("\(collection) is deleted.")
        }
    }
}
