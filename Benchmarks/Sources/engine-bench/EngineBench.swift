import CVectorKernels
import FaceModel
import Foundation
import VectorSearch

/// Exhaustive search on one thread: by bit planes, beside scoring every row, on one million faces of the set "hard";
/// and whether it finds what the reference in doubles finds.
///
///     engine-bench [--dimensions 512,128] [--faces 1000000] [--probes 1000] [--timed 100] [--write FOLDER]
///     engine-bench --only tails [...]: how far estimates lie from scores
@main
enum EngineBench {
    private static let searches = [
        Search(name: "top 10", limit: 10, minScore: -1), Search(name: "cosine >= .37", limit: 80, minScore: 0.37),
    ]

    static func main() throws {
        let settings = Settings(CommandLine.arguments)
        print("set hard, one thread, whole query (its preparation included), warm")
        print("kernels: \(String(cString: facet_kernel_name(facet_plane_chosen()))); \(Machine.text)")
        for dimension in settings.dimensions {
            let blocks = (settings.faces + FaceGenerator.blockRows - 1) / FaceGenerator.blockRows
            let faces = try BenchCollection(dimension: dimension, blocks: blocks, probes: settings.probes)
            if let folder = settings.folder { try faces.write(to: folder) }
            let (bytes, encode) = (Double(faces.planes.bytes) / Double(faces.count), faces.encodeNanoseconds)
            print("\n\(faces.count) x \(dimension): planes \(one(bytes)) B a face, made in \(one(encode)) ns a face")
            print("this thread reads \(one(Machine.readGigabytesPerSecond(faces))) GB/s; load \(Machine.load)")
            guard !settings.tails else {
                Tails.print(faces)
                continue
            }
            let reference = Reference.best(of: faces.probes, in: faces)
            print(
                "| | ns a face: CPU | wall | wall p99 | every row, CPU | ratio | GB/s | sent on | scored | equal | load |"
            )
            print("|---|---|---|---|---|---|---|---|---|---|---|")
            for search in searches { measure(search, faces, reference, timed: settings.timed) }
        }
    }

    private static func measure(
        _ search: Search, _ faces: BenchCollection, _ reference: [[ScoredRow]], timed: Int
    ) {
        var scratch = ScanScratch()
        var every = ScanScratch()
        var (times, everyTimes): (Times, Times) = (Times(), Times())
        var equal = 0
        for (number, probe) in faces.probes.enumerated() {
            var found: [ScoredRow] = []
            let time = Times.of { found = faces.search(PreparedQuery(probe), search, byPlanes: true, &scratch) }
            if number < timed { times.add(time, faces: faces.count) }
            let expected = reference[number].filter { $0.match.score >= search.minScore }.prefix(search.limit)
            if found == Array(expected) { equal += 1 }
            // Interleaved, so that both meet the same machine.
            guard number < timed, number % 10 == 0 else { continue }
            let again = Times.of { _ = faces.search(PreparedQuery(probe), search, byPlanes: false, &every) }
            everyTimes.add(again, faces: faces.count)
        }
        let (median, all) = (times.percentile(0.5, \.processor), everyTimes.percentile(0.5, \.processor))
        let shares = Shares(scratch.counts, faces)
        let figures = [
            two(median), two(times.percentile(0.5, \.wall)), two(times.percentile(0.99, \.wall)), one(all),
            one(all / median), one(shares.bytes / median),
            shares.text, String(format: "%.4f %%", shares.scored * 100), "\(equal) of \(faces.probes.count)",
            Machine.load,
        ]
        print("| \(search.name) | \(figures.joined(separator: " | ")) |")
    }

    private static func one(_ value: Double) -> String { String(format: "%.1f", value) }
    private static func two(_ value: Double) -> String { String(format: "%.2f", value) }
}

/// What searches took, a face: on the clock, and of the processor, which other work on the machine lengthens less.
struct Times {
    var wall: [Double] = []
    var processor: [Double] = []

    static func of(_ work: () -> Void) -> (wall: Double, processor: Double) {
        let (start, used) = (ContinuousClock.now, processorNanoseconds())
        work()
        return (nanoseconds(since: start), processorNanoseconds() - used)
    }

    mutating func add(_ time: (wall: Double, processor: Double), faces: Int) {
        wall.append(time.wall / Double(faces))
        processor.append(time.processor / Double(faces))
    }

    func percentile(_ share: Double, _ kind: KeyPath<Times, [Double]>) -> Double {
        let values = self[keyPath: kind].sorted()
        return values.isEmpty ? .nan : values[Int(Double(values.count - 1) * share)]
    }

    private static func processorNanoseconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

struct Search {
    var name: String
    var limit: Int
    var minScore: Float
}

extension BenchCollection {
    func search(
        _ query: PreparedQuery, _ search: Search, byPlanes: Bool, _ scratch: inout ScanScratch
    ) -> [ScoredRow] {
        self.search(query, limit: search.limit, minScore: search.minScore, byPlanes: byPlanes, &scratch)
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

private struct Settings {
    var dimensions = [512, 128]
    var faces = 1_000_000
    var probes = 1_000
    var timed = 100
    var folder: String?
    var tails = false

    init(_ arguments: [String]) {
        for (name, value) in zip(arguments.dropFirst(), arguments.dropFirst(2)) {
            switch name {
            case "--dimensions": dimensions = value.split(separator: ",").compactMap { Int($0) }
            case "--faces": faces = Int(value) ?? faces
            case "--probes": probes = Int(value) ?? probes
            case "--timed": timed = Int(value) ?? timed
            case "--write": folder = value
            case "--only": tails = value == "tails"
            default: break
            }
        }
    }
}
