import Metrics
import Synchronization

/// Every metric of the wire; docs/metrics.md has the table. Handlers are made once: looking one up costs more than the
/// request's frame.
final class TransportMetrics: Sendable {
    /// Which end of a connection counts.
    enum Side: String, Sendable { case asker, node }

    private struct Outcome: Hashable {
        let method: Method
        let code: String
    }

    private let side: Side
    private let received: Counter
    private let sent: Counter
    private let opened: Counter
    private let seconds: [Method: Timer]
    private let outcomes = Mutex<[Outcome: Counter]>([:])

    init(_ side: Side) {
        self.side = side
        let end = ("side", side.rawValue)
        received = Counter(label: "facet_transport_bytes_total", dimensions: [end, ("direction", "received")])
        sent = Counter(label: "facet_transport_bytes_total", dimensions: [end, ("direction", "sent")])
        opened = Counter(label: "facet_transport_connections_total", dimensions: [end])
        seconds = Dictionary(
            uniqueKeysWithValues: Method.allCases.map {
                ($0, Timer(label: "facet_transport_request_seconds", dimensions: [end, ("method", $0.label)]))
            })
    }

    /// `code` is "ok" or the failure's label.
    func request(_ method: Method, code: String, since start: ContinuousClock.Instant) {
        seconds[method]?.record(duration: start.duration(to: .now))
        let counter = outcomes.withLock { counters in
            if let counter = counters[Outcome(method: method, code: code)] { return counter }
            let counter = Counter(
                label: "facet_transport_requests_total",
                dimensions: [("side", side.rawValue), ("method", method.label), ("code", code)])
            counters[Outcome(method: method, code: code)] = counter
            return counter
        }
        counter.increment()
    }

    func connectionOpened() { opened.increment() }

    func bytes(received: Int, sent: Int) {
        self.received.increment(by: received)
        self.sent.increment(by: sent)
    }

    func refused(_ reason: String) {
        Counter(
            label: "facet_transport_refused_handshakes_total",
            dimensions: [("side", side.rawValue), ("reason", reason)]
        ).increment()
    }
}

/// What becomes of letters between replicas; docs/metrics.md has the table.
struct LetterMetrics: Sendable {
    /// Why a letter was lost.
    enum Loss: String, Sendable, CaseIterable {
        /// As much waits for the node as may.
        case full
        case unreachable
        case tooLong = "too_long"
        /// The node answered, and did not take it.
        case refused
    }

    private static let label = "facet_transport_letters_total"
    private let arrived = Counter(label: label, dimensions: [("outcome", "sent")])
    private let lost = Dictionary(
        uniqueKeysWithValues: Loss.allCases.map {
            ($0, Counter(label: label, dimensions: [("outcome", $0.rawValue)]))
        })

    func sent(_ letters: Int) { arrived.increment(by: letters) }

    func lost(_ letters: Int, _ loss: Loss) { lost[loss]?.increment(by: letters) }
}
