import CoreMetrics
import Testing

@testable import Telemetry

@Suite struct MetricsTests {
    @Test func seriesAreWrittenAsPrometheusReadsThem() {
        let registry = MetricsRegistry()
        registry.makeCounter(label: "b_total", dimensions: [("code", "a\"b\\\n")]).increment(by: 3)
        registry.makeRecorder(label: "a_gauge", dimensions: [], aggregate: false).record(2.5)
        registry.makeTimer(label: "c_seconds", dimensions: []).recordNanoseconds(3_000_000)
        let lines = registry.text.split(separator: "\n").map(String.init)
        #expect(lines.contains("# TYPE b_total counter"))
        #expect(lines.contains(#"b_total{code="a\"b\\\n"} 3"#))
        #expect(lines.contains("a_gauge 2.5"))
        #expect(lines.contains(#"c_seconds_bucket{le="0.002"} 0"#))
        #expect(lines.contains(#"c_seconds_bucket{le="0.005"} 1"#))
        #expect(lines.contains(#"c_seconds_bucket{le="+Inf"} 1"#))
        #expect(lines.contains("c_seconds_sum 0.003") && lines.contains("c_seconds_count 1"))
    }

    @Test func theSameSeriesIsTheSameCell() {
        let registry = MetricsRegistry()
        for _ in 0..<2 {
            registry.makeCounter(label: "x_total", dimensions: [("a", "1"), ("b", "2")]).increment(by: 1)
        }
        registry.makeCounter(label: "x_total", dimensions: [("b", "2"), ("a", "1")]).increment(by: 1)
        #expect(registry.text.contains(#"x_total{a="1",b="2"} 3"#))
    }
}
