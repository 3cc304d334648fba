import AuditLedger
import ClusterModel
import FaceModel
import ShardEngine

/// What an operator's monitor sees of a node.
struct NodeWatch: Sendable {
    let node: NodeID
    let shards: ShardNode
    let ledger: LedgerShelf

    /// Prometheus text; names in docs/metrics.md.
    func gauges() async -> String {
        var values: [(String, Int)] = []
        if let statistics = await statistics() {
            values += [
                ("facet_node_shards", statistics.shards), ("facet_node_shards_damaged", statistics.damagedShards),
                ("facet_faces", statistics.faces), ("facet_node_resident_bytes", statistics.residentBytes),
                ("facet_node_capacity_bytes", statistics.capacityBytes),
                ("facet_node_disk_free_bytes", statistics.diskFreeBytes),
                ("facet_node_disk_total_bytes", statistics.diskTotalBytes),
                ("facet_node_uptime_seconds", statistics.uptimeSeconds),
            ]
        }
        let copies = shards.copies
        values += [
            ("facet_node_copies_primary", copies.primary), ("facet_node_copies_in_sync", copies.inSync),
            ("facet_node_copies_behind", copies.behind),
        ]
        if let status = ledgerStatus() {
            values += [
                ("facet_ledger_leaves", Int(clamping: status.treeSize)),
                ("facet_ledger_refusing", status.refusing == nil ? 0 : 1),
            ]
        }
        return values.map { "# TYPE \($0) gauge\n\($0) \($1)\n" }.joined()
    }

    func problems() async -> [String] {
        var problems: [String] = []
        if let statistics = await statistics(), statistics.damagedShards > 0 {
            problems.append("\(statistics.damagedShards) of \(statistics.shards) shards are damaged")
        }
        if let status = ledgerStatus(), status.refusing != nil { problems.append("the ledger takes no entries") }
        return problems
    }

    private func statistics() async -> NodeStatistics? {
        try? await shards.statistics(ofNode: node, deadline: .now + .seconds(1))
    }

    private func ledgerStatus() -> LedgerStatus? { ledger.ownStatus }
}
