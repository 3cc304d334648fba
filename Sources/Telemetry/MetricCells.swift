import CoreMetrics
import Synchronization

final class CounterCell: CounterHandler {
    private let count = Atomic<Int64>(0)
    var value: Int64 { count.load(ordering: .relaxed) }
    func increment(by amount: Int64) { count.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { count.store(0, ordering: .relaxed) }
}

final class GaugeCell: RecorderHandler {
    private let last = Mutex(0.0)
    var value: Double { last.withLock { $0 } }
    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) { last.withLock { $0 = value } }
}

/// Counts by fixed bounds, in seconds for timers: from 0.1 ms to 10 s, three steps a decade.
final class HistogramCell: RecorderHandler, TimerHandler {
    static let bounds = [
        0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
    ]

    private struct State {
        var buckets = [Int](repeating: 0, count: HistogramCell.bounds.count)
        var count = 0
        var sum = 0.0
    }
    private let state = Mutex(State())

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        state.withLock { state in
            state.count += 1
            state.sum += value
            if let index = Self.bounds.firstIndex(where: { value <= $0 }) { state.buckets[index] += 1 }
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func lines(_ series: MetricsRegistry.Series) -> [String] {
        let state = state.withLock { $0 }
        var cumulative = 0
        var lines = zip(Self.bounds, state.buckets).map { bound, count in
            cumulative += count
            return "\(series.text("_bucket", with: ["le=\"\(bound)\""])) \(cumulative)"
        }
        lines.append("\(series.text("_bucket", with: ["le=\"+Inf\""])) \(state.count)")
        lines.append("\(series.text("_sum")) \(state.sum)")
        lines.append("\(series.text("_count")) \(state.count)")
        return lines
    }
}
