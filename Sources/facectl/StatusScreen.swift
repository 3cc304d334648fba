/// The answer of `GetStatus` as text: what is wrong in sentences above, one word about it in the tables.
struct StatusScreen {
    let status: Document
    let allShards: Bool
    let shardLinesMax: Int

    func show() {
        head()
        let nodes = status.documents("Nodes")
        if !nodes.isEmpty {
            Output.line()
            Output.table(
                ["NODE", "ZONE", "SHARDS", "FACES", "MEMORY", "LIMIT", "DISK FREE", "OF", "UP", "STATE"],
                nodes.map(Self.node), rightAligned: [2, 3, 4, 5, 6, 7, 8])
        }
        Output.line()
        let collections = status.documents("Collections")
        Output.table(
            ["COLLECTION", "SHARDS", "FACES", "SEGMENTS", "BUFFERED", "MEMORY", "DISK", "STATE"],
            collections.map(Self.collection), rightAligned: [1, 2, 3, 4, 5, 6])
        showShards(collections)
    }

    private func head() {
        let (ledger, model) = (status.document("Ledger"), status.document("Model"))
        let name = "\(model.text("Name") ?? "-") \(model.text("Version") ?? "-")"
        Output.line("model       \(name), dimension \(model.integer("Dimension") ?? 0)")
        let place = ledger.has("Copies") ? " in \(ledger.copiesInSync) copies" : ""
        Output.line(
            "ledger      \(ledger.integer("TreeSize") ?? 0) leaves\(place), \(ledger.text("Refusing") ?? "takes entries")"
        )
        for account in status.document("Standing").documents("Suspended") {
            let since = Output.time(account.number("Since") ?? 0)
            Output.line("suspended   \(account.text("Tenant") ?? "-") since \(since): nothing of it is answered")
        }
        for problem in status.texts("Problems") { Output.line("problem     \(problem)") }
    }

    private func showShards(_ collections: [Document]) {
        let rows = collections.flatMap { collection in
            collection.documents("Shards").map { Self.shard($0, of: collection) }
        }
        guard rows.count > collections.count || allShards, !rows.isEmpty else { return }
        Output.line()
        guard rows.count <= shardLinesMax || allShards else {
            return Output.line("\(rows.count) shards; 'facectl status --shards' shows each")
        }
        Output.table(
            ["SHARD", "COLLECTION", "NODE", "FACES", "MEMORY", "DISK", "LSN", "SYNC", "EPOCH", "STATE"], rows,
            rightAligned: [3, 4, 5, 6, 7, 8])
    }

    private static func node(_ node: Document) -> [String] {
        let statistics = node.document("Statistics")
        func bytes(_ name: String) -> String { statistics.integer(name).map(Output.bytes) ?? "-" }
        let limit = node.integer("CapacityBytes") ?? 0
        let damaged = statistics.integer("DamagedShards") ?? 0
        return [
            node.text("Node") ?? "-", node.text("Zone") ?? "-", statistics.count("Shards"), statistics.count("Faces"),
            bytes("ResidentBytes"), limit == 0 ? "-" : Output.bytes(limit), bytes("DiskFreeBytes"),
            bytes("DiskTotalBytes"), statistics.integer("UptimeSeconds").map(Output.age) ?? "-",
            node.has("Unavailable") ? "AWAY" : damaged == 0 ? "ok" : "\(damaged) shards damaged",
        ]
    }

    private static func collection(_ collection: Document) -> [String] {
        let shards = collection.documents("Shards")
        func sum(_ name: String) -> Int { shards.reduce(0) { $0 + ($1.integer(name) ?? 0) } }
        let refused = shards.compactMap { $0.text("WritesRefused") }.first.map { "no writes: \($0)" }
        let behind = shards.count(where: \.isDegraded)
        let degraded = behind == 0 ? nil : "DEGRADED, \(behind) of \(shards.count) shards lack copies in sync"
        let missing = shards.count { $0.has("Unavailable") }
        let incomplete = missing == 0 ? nil : "INCOMPLETE, \(missing) of \(shards.count) shards missing"
        return [
            collection.text("CollectionId") ?? "-", "\(shards.count)", "\(collection.integer("Faces") ?? 0)",
            "\(sum("Segments"))", "\(sum("BufferedFaces"))", Output.bytes(sum("ResidentBytes")),
            Output.bytes(sum("DiskBytes")), incomplete ?? collection.text("Unavailable") ?? refused ?? degraded ?? "ok",
        ]
    }

    private static func shard(_ shard: Document, of collection: Document) -> [String] {
        func bytes(_ name: String) -> String { shard.integer(name).map(Output.bytes) ?? "-" }
        let missing = shard.has("Unavailable")
        return [
            String((shard.text("Shard") ?? "-").prefix(8)), collection.text("CollectionId") ?? "-",
            shard.text("Node") ?? "-", shard.count("Faces"), bytes("ResidentBytes"), bytes("DiskBytes"),
            shard.count("Lsn"), shard.copiesInSync, shard.count("Epoch"),
            missing
                ? "MISSING"
                : shard.text("WritesRefused").map { "no writes: \($0)" } ?? (shard.isDegraded ? "DEGRADED" : "ok"),
        ]
    }
}
