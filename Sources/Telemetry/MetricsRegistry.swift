package import CoreMetrics
import Synchronization

/// swift-metrics' backend: keeps every series in memory and writes them as Prometheus text, format 0.0.4.
///
/// Names are bounded by the code that makes them (docs/metrics.md), label values by tables, never by what clients send.
package final class MetricsRegistry: MetricsFactory {
    struct Series: Hashable, Comparable {
        var name: String
        var labels: [String]

        init(_ name: String, _ dimensions: [(String, String)]) {
            self.name = name
            labels = dimensions.sorted { $0.0 < $1.0 }.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }
        }

        func text(_ suffix: String = "", with more: [String] = []) -> String {
            let all = labels + more
            return name + suffix + (all.isEmpty ? "" : "{\(all.joined(separator: ","))}")
        }

        static func < (a: Series, b: Series) -> Bool { (a.name, a.labels.joined()) < (b.name, b.labels.joined()) }

        private static func escaped(_ value: String) -> String {
            value.reduce(into: "") { out, character in
                switch character {
                case "\\": out += "\\\\"
                case "\"": out += "\\\""
                case "\n": out += "\\n"
                default: out.append(character)
                }
            }
        }
    }

    private struct State {
        var counters: [Series: CounterCell] = [:]
        var gauges: [Series: GaugeCell] = [:]
        var histograms: [Series: HistogramCell] = [:]
    }
    private let state = Mutex(State())

    package init() {}

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let series = Series(label, dimensions)
        return state.withLock { state in
            if let cell = state.counters[series] { return cell }
            let cell = CounterCell()
            state.counters[series] = cell
            return cell
        }
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        let series = Series(label, dimensions)
        return state.withLock { state -> any RecorderHandler in
            if aggregate { return Self.histogram(series, &state) }
            if let cell = state.gauges[series] { return cell }
            let cell = GaugeCell()
            state.gauges[series] = cell
            return cell
        }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        let series = Series(label, dimensions)
        return state.withLock { Self.histogram(series, &$0) }
    }

    // Series live as long as the process: their names are bounded.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// Everything, sorted by name.
    package var text: String {
        let state = state.withLock { $0 }
        var lines: [String] = []
        var typed = ""
        func type(_ name: String, _ kind: String) {
            if typed != name { lines.append("# TYPE \(name) \(kind)") }
            typed = name
        }
        for (series, cell) in state.counters.sorted(by: { $0.key < $1.key }) {
            type(series.name, "counter")
            lines.append("\(series.text()) \(cell.value)")
        }
        for (series, cell) in state.gauges.sorted(by: { $0.key < $1.key }) {
            type(series.name, "gauge")
            lines.append("\(series.text()) \(cell.value)")
        }
        for (series, cell) in state.histograms.sorted(by: { $0.key < $1.key }) {
            type(series.name, "histogram")
            lines += cell.lines(series)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func histogram(_ series: Series, _ state: inout State) -> HistogramCell {
        if let cell = state.histograms[series] { return cell }
        let cell = HistogramCell()
        state.histograms[series] = cell
        return cell
    }
}
