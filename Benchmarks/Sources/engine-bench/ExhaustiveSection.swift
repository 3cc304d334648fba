import FaceModel
import Foundation
import VectorSearch

/// Exhaustive search on one thread: by bit planes, beside scoring every row; whether it finds what the reference in
/// doubles finds; and the bytes it reads, beside what the thread takes in.
enum ExhaustiveSection {
    static func run(_ faces: BenchCollection, _ settings: Settings, _ bars: Bars) {
        let reference = Reference.best(of: faces.probes, in: faces)
        let reads = Machine.readGigabytesPerSecond(faces)
        say("\none thread, whole query (its preparation included), warm; reads \(reads.one) GB/s")
        say(
            "| | ns a face: CPU | wall | wall p99 | every row, CPU | ratio | B a face | GB/s | of what it reads |"
                + " sent on | scored | equal | load |")
        say("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
        for search in [Search.plain, .threshold] {
            let outcome = measure(search, faces, reference, timed: settings.timed)
            say("| \(search.name) | \(outcome.text(faces, reads)) | \(Machine.load) |")
            add(outcome, search, faces, bars)
        }
    }

    private static func add(_ outcome: Outcome, _ search: Search, _ faces: BenchCollection, _ bars: Bars) {
        let what = "exhaustive, \(faces.count) x \(faces.dimension), \(search.name)"
        let bar = faces.dimension > 128 && search.minScore < 0 ? 10.0 : 8.0
        let median = outcome.times.percentile(0.5, \.wall)
        bars.add(what, bar: "<= \(Int(bar)) ns a face", figure: median.two, reached: median <= bar)
        let equal = "\(outcome.equal) of \(faces.probes.count)"
        bars.add(what, bar: "equal to the reference", figure: equal, reached: outcome.equal == faces.probes.count)
    }

    private struct Outcome {
        var times = Times()
        var everyTimes = Times()
        var equal = 0
        var probes = 0
        var counts = PlaneCounts()

        func text(_ faces: BenchCollection, _ reads: Double) -> String {
            let (median, all) = (times.percentile(0.5, \.processor), everyTimes.percentile(0.5, \.processor))
            let shares = Shares(counts, faces)
            let rate = shares.bytes / median
            let figures = [
                median.two, times.percentile(0.5, \.wall).two, times.percentile(0.99, \.wall).two, all.one,
                (all / median).one, shares.bytes.one, rate.one, String(format: "%.0f %%", 100 * rate / reads),
                shares.text, String(format: "%.4f %%", shares.scored * 100), "\(equal) of \(probes)",
            ]
            return figures.joined(separator: " | ")
        }
    }

    private static func measure(
        _ search: Search, _ faces: BenchCollection, _ reference: [[ScoredRow]], timed: Int
    ) -> Outcome {
        var scratch = ScanScratch()
        var every = ScanScratch()
        var outcome = Outcome()
        for (number, probe) in faces.probes.enumerated() {
            var found: [ScoredRow] = []
            let time = Times.of { found = faces.search(PreparedQuery(probe), search, byPlanes: true, &scratch) }
            if number < timed { outcome.times.add(time, shares: faces.count) }
            let expected = reference[number].filter { $0.match.score >= search.minScore }.prefix(search.limit)
            if found == Array(expected) { outcome.equal += 1 }
            // Interleaved, so that both meet the same machine.
            guard number < timed, number % 10 == 0 else { continue }
            let again = Times.of { _ = faces.search(PreparedQuery(probe), search, byPlanes: false, &every) }
            outcome.everyTimes.add(again, shares: faces.count)
        }
        outcome.probes = faces.probes.count
        outcome.counts = scratch.counts
        return outcome
    }
}

/// What the stages of a search left of all rows, and the bytes it read for a face.
private struct Shares {
    var left: [Double]
    var scored: Double
    var bytes: Double

    init(_ counts: PlaneCounts, _ faces: BenchCollection) {
        let code = faces.planes.code
        let scanned = Double(max(1, counts.scanned))
        left = counts.left.prefix(code.later.count + 1).map { Double($0) / scanned }
        scored = Double(counts.scored) / scanned
        let factors = 8.0
        bytes = Double(code.first * code.dimension / 8) + factors + scored * Double(4 * code.dimension)
        for (stage, planes) in code.later.enumerated() {
            bytes += left[stage] * (Double(planes * code.dimension / 8) + factors)
        }
    }

    var text: String { left.map { String(format: "%.3f %%", $0 * 100) }.joined(separator: ", ") }
}
