import ClusterModel
import Coordinator

/// What is read at the time of the scrape rather than counted: the service's status as Prometheus gauges.
enum Gauges {
    static func text(_ status: ServiceStatus, inFlight: Int) -> String {
        let shards = status.collections.flatMap(\.statistics)
        let values: [(String, Int)] = [
            ("facet_ready", status.ready ? 1 : 0),
            ("facet_complete", status.complete ? 1 : 0),
            ("facet_requests_in_flight", inFlight),
            ("facet_nodes", status.nodes.count),
            ("facet_nodes_unavailable", status.nodes.count { $0.isSilent }),
            ("facet_control_plane_stale", status.controlPlaneStaleness == nil ? 0 : 1),
            ("facet_collections", status.collections.count),
            ("facet_collections_unavailable", status.collections.count { $0.unavailable != nil }),
            ("facet_shards_refusing_writes", shards.count { $0.writesRefused != nil }),
            (
                "facet_shards_degraded",
                status.collections.flatMap(\.shards).count { $0.copies?.isDegraded ?? false }
            ),
            ("facet_faces", shards.reduce(0) { $0 + $1.faces }),
            ("facet_faces_buffered", shards.reduce(0) { $0 + $1.bufferedFaces }),
            ("facet_segments", shards.reduce(0) { $0 + $1.segments }),
            ("facet_resident_bytes", shards.reduce(0) { $0 + $1.residentBytes }),
            ("facet_disk_bytes", shards.reduce(0) { $0 + $1.diskBytes }),
            ("facet_ledger_leaves", Int(clamping: status.ledger.treeSize)),
            ("facet_ledger_refusing", status.ledger.refusing == nil ? 0 : 1),
            ("facet_standing_age_milliseconds", status.standing.age.map { Int($0 / .milliseconds(1)) } ?? -1),
            ("facet_suspended_accounts", status.standing.suspended.count),
            ("facet_revoked_keys", status.standing.revokedKeys),
            ("facet_ledger_degraded", status.ledgerCopies?.isDegraded == true ? 1 : 0),
        ]
        return values.map { "# TYPE \($0) gauge\n\($0) \($1)\n" }.joined()
    }
}
