import FaceModel
import Foundation
import VectorSearch

/// Many queries at once: face comparisons a second a core, and whether each is answered as it is alone.
enum BatchSection {
    private static let batch = 32
    private static let rounds = 5

    static func run(_ faces: BenchCollection, _ settings: Settings, _ bars: Bars) throws {
        let searching = ParallelSearch(faces, threads: settings.threads)
        let probes = Array(faces.probes.prefix(batch))
        var scratch = ScanScratch()
        say("\nbatches of \(probes.count), \(settings.threads) threads; load \(Machine.load)")
        say("| | M comparisons/s a core: median | best | ms a batch | equal to single |\n|---|---|---|---|---|")
        for search in [Search.plain, .threshold] {
            let single = probes.map { faces.search(PreparedQuery($0), search, byPlanes: true, &scratch) }
            var times: [Double] = []
            var equal = 0
            for _ in 0..<rounds {
                let start = ContinuousClock.now
                let found = try searching.search(probes, search)
                times.append(nanoseconds(since: start))
                equal = zip(found, single).count { $0 == $1 }
            }
            times.sort()
            let rate = { (time: Double) in
                Double(faces.count * probes.count) / time * 1e3 / Double(settings.threads)
            }
            let median = rate(times[rounds / 2])
            let figures = [
                median.one, rate(times[0]).one, (times[rounds / 2] / 1e6).one, "\(equal) of \(probes.count)",
            ]
            say("| \(search.name) | \(figures.joined(separator: " | ")) |")
            bars.add(
                "batch of \(probes.count), \(faces.count) x \(faces.dimension), \(search.name)",
                bar: ">= 400 M a core, equal", figure: "\(median.one) M, \(equal) equal",
                reached: median >= 400 && equal == probes.count)
        }
    }
}
