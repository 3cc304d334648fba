import Metrics

/// Every metric the coordinator's core writes; the table of names is docs/metrics.md.
struct CoordinatorMetrics: Sendable {
    private let extractionSeconds = Metrics.Timer(label: "facet_extraction_seconds")
    private let scanSeconds = Metrics.Timer(label: "facet_search_scan_seconds")
    private let ledgerSeconds = Metrics.Timer(label: "facet_search_ledger_seconds")
    private let searches = Counter(label: "facet_searches_total", dimensions: [("outcome", "answered")])
    private let failures = Counter(label: "facet_searches_total", dimensions: [("outcome", "failed")])
    private let enrolments = Counter(label: "facet_faces_enrolled_total")

    func extraction(since start: ContinuousClock.Instant) {
        extractionSeconds.record(duration: start.duration(to: .now))
    }
    func scan(since start: ContinuousClock.Instant) { scanSeconds.record(duration: start.duration(to: .now)) }
    func ledgerWait(since start: ContinuousClock.Instant) { ledgerSeconds.record(duration: start.duration(to: .now)) }
    func searchAnswered() { searches.increment() }
    func searchFailed() { failures.increment() }
    func enrolled(_ count: Int) { enrolments.increment(by: count) }
}
