import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Is the server whole? One screen.")
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let connection = try server.connect()
        let reply = try await connection.call("FacetService.GetStatus", [:])
        if output.json { return try Output.json(reply.json) }
        let status = Document(reply.json)
        let (ledger, model) = (status.document("Ledger"), status.document("Model"))
        Output.line("server      \(connection.address)   \(status.flag("Ready") ? "ready" : "NOT READY")")
        Output.line(
            "model       \(model.text("Name") ?? "-") \(model.text("Version") ?? "-"), dimension \(model.integer("Dimension") ?? 0)"
        )
        Output.line(
            "ledger      \(ledger.integer("TreeSize") ?? 0) leaves, \(ledger.text("Refusing") ?? "takes entries")")
        for problem in status.texts("Problems") { Output.line("problem     \(problem)") }
        Output.line()
        Output.table(
            ["COLLECTION", "FACES", "SEGMENTS", "BUFFERED", "MEMORY", "DISK", "STATE"],
            status.documents("Collections").map(Self.row), rightAligned: [1, 2, 3, 4, 5])
    }

    private static func row(_ collection: Document) -> [String] {
        let shards = collection.documents("Shards")
        func sum(_ name: String) -> Int { shards.reduce(0) { $0 + ($1.integer(name) ?? 0) } }
        let refused = shards.compactMap { $0.text("WritesRefused") }.first.map { "no writes: \($0)" }
        return [
            collection.text("CollectionId") ?? "-", "\(collection.integer("Faces") ?? 0)", "\(sum("Segments"))",
            "\(sum("BufferedFaces"))", Output.bytes(sum("ResidentBytes")), Output.bytes(sum("DiskBytes")),
            collection.text("Unavailable") ?? refused ?? "ok",
        ]
    }
}
