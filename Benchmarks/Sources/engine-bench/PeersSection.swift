import FaceModel
import Foundation
import VectorSearch

/// Facet's own rows of the comparison: vectors and what was found, as files that loadtests/peers reads.
enum PeersSection {
    private static let coverages = [0.80, 0.85, 0.90, 0.95, 0.98, 0.99]

    private struct Answers: Encodable {
        var family: String
        var mode: String
        var limit: Int
        /// A probe's whole query.
        var milliseconds: [Double] = []
        var processorMilliseconds: [Double] = []
        /// Row numbers, best first, a list a probe.
        var found: [[Int]] = []
        var bytesPerFace: Double
        var builtSeconds: Double
    }

    static func run(_ faces: BenchCollection, _ settings: Settings) throws {
        guard let folder = settings.folder else { throw Settings.Misuse(description: "peers needs --write FOLDER") }
        try faces.write(to: folder)
        var scratch = ScanScratch()
        var answers = [Search.plain, .threshold].map { exhaustive($0, faces, &scratch) }
        let routed = RoutedCollection(faces)
        say("\(routed.ranking.count) buckets, \(routed.curve.mates) mates for the curve, \(routed.buildSeconds.one) s")
        answers += coverages.map { coverage in self.routed(coverage, routed, &scratch) }
        let encoded = try JSONEncoder().encode(answers)
        try encoded.write(to: URL(filePath: "\(folder)/facet-\(faces.dimension).json"))
    }

    private static func exhaustive(_ search: Search, _ faces: BenchCollection, _ scratch: inout ScanScratch) -> Answers
    {
        let name = search.minScore < 0 ? "Facet exhaustive" : "Facet exhaustive, \(search.name)"
        let built = faces.encodeNanoseconds * Double(faces.count) / 1e9
        var answers = Answers(
            family: name, mode: "", limit: search.limit, bytesPerFace: bytes(faces), builtSeconds: built)
        measure(faces.probes, &answers) { probe in
            faces.search(PreparedQuery(probe), search, byPlanes: true, &scratch).map(\.locator.row)
        }
        return answers
    }

    private static func routed(
        _ coverage: Double, _ routed: RoutedCollection, _ scratch: inout ScanScratch
    ) -> Answers {
        let probes = routed.curve.probes(for: coverage)
        let limit = Search.plain.limit
        let centroids = Double(4 * routed.faces.dimension * routed.ranking.count) / Double(routed.faces.count)
        var answers = Answers(
            family: "Facet routed", mode: "coverage \(coverage.two), \(probes) of \(routed.ranking.count) buckets",
            limit: limit, bytesPerFace: bytes(routed.faces) + centroids, builtSeconds: routed.buildSeconds)
        measure(routed.faces.probes, &answers) { probe in
            routed.search(probe, limit: limit, probes: probes, &scratch).map(routed.row)
        }
        return answers
    }

    private static func measure(_ probes: [RotatedVector], _ answers: inout Answers, _ search: (RotatedVector) -> [Int])
    {
        if let first = probes.first { _ = search(first) }
        for probe in probes {
            var found: [Int] = []
            let time = Times.of { found = search(probe) }
            answers.milliseconds.append(time.wall / 1e6)
            answers.processorMilliseconds.append(time.processor / 1e6)
            answers.found.append(found)
        }
    }

    /// Planes and vectors, both in memory here.
    private static func bytes(_ faces: BenchCollection) -> Double {
        Double(faces.planes.bytes) / Double(faces.count) + Double(4 * faces.dimension)
    }
}
