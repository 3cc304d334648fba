import FaceModel
import Foundation
import VectorSearch

/// Many queries at once: face comparisons a second a core, and whether each is answered as it is alone.
enum BatchSection {
    private static let batch = 32
    private static let rounds = 5

    static func run(_ faces: BenchCollection, _ settings: Settings, _ bars: Bars) {
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
                let found = run(probes, search, faces, threads: settings.threads)
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

    /// Threads take parts, and compare every query with a part while it is in the cache.
    private static func run(
        _ probes: [RotatedVector], _ search: Search, _ faces: BenchCollection, threads: Int
    ) -> [[ScoredRow]] {
        let queries = probes.map { PreparedQuery($0) }
        let results = Results<[TopK]>(repeating: [], count: threads)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            var scratch = ScanScratch()
            var best = [TopK](repeating: TopK(limit: search.limit, minScore: search.minScore), count: queries.count)
            let step = BenchCollection.rowsPerPart
            for start in stride(from: thread * step, to: faces.count, by: threads * step) {
                for (number, query) in queries.enumerated() {
                    _ = scan(
                        faces.block(start, byPlanes: true), dead: RowBitmap(), query: query, into: &best[number],
                        scratch: &scratch)
                }
            }
            results[thread] = best
        }
        return queries.indices.map { number in
            var all = results[0][number]
            for thread in 1..<max(1, threads) { all.merge(results[thread][number]) }
            return all.sorted()
        }
    }
}
