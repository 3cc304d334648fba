import Metrics

/// Every metric that a node's shards write; the table of names is docs/metrics.md.
struct ShardMetrics: Sendable {
    private let searchSeconds = Metrics.Timer(label: "facet_shard_search_seconds")
    private let scansAbandoned = Counter(label: "facet_shard_scans_abandoned_total")
    private let writesRefused = Counter(label: "facet_shard_writes_refused_total")

    func searched(since start: ContinuousClock.Instant) { searchSeconds.record(duration: start.duration(to: .now)) }
    func abandoned() { scansAbandoned.increment() }
    func refused() { writesRefused.increment() }
}

/// Of what disks do to a node's files.
struct RotMetrics: Sendable {
    private let rot = Counter(label: "facet_rot_found_total")
    private let repairs = Counter(label: "facet_rot_repaired_total")
    private let bytes = Counter(label: "facet_scrub_bytes_total")

    func found() { rot.increment() }
    func repaired() { repairs.increment() }
    func read(_ count: Int) { bytes.increment(by: count) }
}
