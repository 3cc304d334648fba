import CVectorKernels
import FaceModel
import Foundation
import VectorSearch

/// How far estimates lie below exact scores, in the standard errors that a search trusts them by: every probe against
/// every row, after every stage. What lies beyond `sigmas` is what a search may miss.
struct Tails: Sendable {
    private static let limits = [3, 4, 5, 6]

    private var pairs = 0
    private var beyond = [Int](repeating: 0, count: 4)
    private var squares = 0.0
    private var greatest: Float = 0
    private var notEstimated = 0

    static func run(_ faces: BenchCollection) {
        let probes = faces.probes
        let results = Results<[Tails]>(repeating: [], count: probes.count)
        let start = ContinuousClock.now
        results[0] = tails(of: probes[0], faces)
        let cores = Double(ProcessInfo.processInfo.activeProcessorCount)
        let minutes = nanoseconds(since: start) * Double(probes.count) / cores / 60e9
        say("\n\(probes.count * faces.count) pairs, about \(minutes.one) minutes")
        DispatchQueue.concurrentPerform(iterations: probes.count - 1) { number in
            results[number + 1] = tails(of: probes[number + 1], faces)
        }
        say("| planes read | pairs | rms | beyond 3 | 4 | 5 | 6 | greatest | not estimated |")
        say("|---|---|---|---|---|---|---|---|---|")
        var planes = faces.planes.code.first
        for stage in 0...faces.planes.code.later.count {
            if stage > 0 { planes += faces.planes.code.later[stage - 1] }
            var sum = Tails()
            for number in probes.indices { sum.add(results[number][stage]) }
            say("| \(planes) | \(sum.text) |")
        }
    }

    private static func tails(of probe: RotatedVector, _ faces: BenchCollection) -> [Tails] {
        let query = PlaneQuery(probe)
        let values = probe.values.map(Double.init)
        let rows = PlaneCode.tileRows
        var tails = [Tails](repeating: Tails(), count: faces.planes.code.later.count + 1)
        var scores = [Float](repeating: 0, count: rows)
        for tile in 0..<faces.planes.tiles {
            facet_score_rows(
                values, faces.rows + tile * rows * faces.dimension, rows, faces.dimension, &scores)
            for (stage, estimates) in faces.planes.estimates(query, tile: tile).enumerated() {
                for row in 0..<rows { tails[stage].add(estimates[row], query, score: scores[row]) }
            }
        }
        return tails
    }

    private mutating func add(_ estimate: PlaneEstimate, _ query: PlaneQuery, score: Float) {
        guard estimate.radius < .infinity else { return notEstimated += 1 }
        let errors = query.standardErrors(estimate, below: score)
        pairs += 1
        squares += Double(errors * errors)
        greatest = max(greatest, errors)
        guard errors > 3 else { return }
        for (index, limit) in Self.limits.enumerated() where errors > Float(limit) { beyond[index] += 1 }
    }

    private mutating func add(_ other: Tails) {
        pairs += other.pairs
        squares += other.squares
        greatest = max(greatest, other.greatest)
        notEstimated += other.notEstimated
        for index in beyond.indices { beyond[index] += other.beyond[index] }
    }

    private var text: String {
        let rms = (squares / Double(max(1, pairs))).squareRoot()
        let counts = beyond.map(String.init).joined(separator: " | ")
        return
            "\(pairs) | \(String(format: "%.3f", rms)) | \(counts) | \(String(format: "%.2f", greatest)) | \(notEstimated)"
    }
}
