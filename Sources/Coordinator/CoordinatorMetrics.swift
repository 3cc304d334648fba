import ClusterModel
import Metrics

/// Every metric the coordinator's core writes; the table of names is docs/metrics.md.
struct CoordinatorMetrics: Sendable {
    private let extractionSeconds = Metrics.Timer(label: "facet_extraction_seconds")
    private let scanSeconds = Metrics.Timer(label: "facet_search_scan_seconds")
    private let ledgerSeconds = Metrics.Timer(label: "facet_search_ledger_seconds")
    private let searches = Counter(label: "facet_searches_total", dimensions: [("outcome", "answered")])
    private let failures = Counter(label: "facet_searches_total", dimensions: [("outcome", "failed")])
    private let partial = Counter(label: "facet_searches_total", dimensions: [("outcome", "partial")])
    private let directorySeconds = Metrics.Timer(label: "facet_bucket_directory_seconds")
    private let modes = Dictionary(
        uniqueKeysWithValues: ["exhaustive", "certain", "routed"].map { mode in
            (mode, Counter(label: "facet_search_modes_total", dimensions: [("mode", mode)]))
        })
    private let enrolments = Counter(label: "facet_faces_enrolled_total")

    func extraction(since start: ContinuousClock.Instant) {
        extractionSeconds.record(duration: start.duration(to: .now))
    }
    func scan(since start: ContinuousClock.Instant) { scanSeconds.record(duration: start.duration(to: .now)) }
    func ledgerWait(since start: ContinuousClock.Instant) { ledgerSeconds.record(duration: start.duration(to: .now)) }
    func searchAnswered(whole: Bool) { (whole ? searches : partial).increment() }
    func searched(_ mode: SearchMode) { modes[mode.word]?.increment() }
    func directoryRead(since start: ContinuousClock.Instant) {
        directorySeconds.record(duration: start.duration(to: .now))
    }
    func searchFailed() { failures.increment() }
    /// A request that a shard did not answer, by the kind of reason.
    func shardMissing(_ reason: ShardError) {
        Counter(label: "facet_shards_missing_total", dimensions: [("reason", reason.word)]).increment()
    }
    func enrolled(_ count: Int) { enrolments.increment(by: count) }
}
