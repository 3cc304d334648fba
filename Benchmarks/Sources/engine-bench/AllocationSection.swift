import CAllocationCount
import FaceModel
import Foundation
import SegmentStore
import StorageIO
import VectorSearch

/// How often hot paths ask for memory, against the thresholds that are checked in: unlike times, these are the same on
/// every machine.
enum AllocationSection {
    private static let dimension = 512
    private static let rows = 4_096

    struct Exceeded: Error, CustomStringConvertible {
        var description: String
    }

    static func run(_ settings: Settings) throws {
        let data = try Data(contentsOf: URL(filePath: settings.thresholds))
        let thresholds = try JSONDecoder().decode([String: Int].self, from: data)
        let counts = try measured(settings)
        say("\n## Allocations: \(settings.thresholds)\n| | blocks asked for | threshold |\n|---|---|---|")
        var wrong: [String] = []
        for (name, count) in counts {
            say("| \(name) | \(count) | \(thresholds[name].map(String.init) ?? "none") |")
            if thresholds[name].map({ count > $0 }) ?? true { wrong.append(name) }
        }
        wrong += Set(thresholds.keys).subtracting(counts.map(\.0)).map { "\($0) (not measured)" }
        guard wrong.isEmpty else { throw Exceeded(description: "allocations: \(wrong.joined(separator: "; "))") }
    }

    private static func measured(_ settings: Settings) throws -> [(String, Int)] {
        let faces = try BenchCollection.made(.hard, dimension: dimension, faces: rows, probes: 1)
        let store = try BenchStore(directory: settings.directory + "/allocations", dimension: dimension)
        defer { store.remove() }
        try store.fill(from: faces, rowsPerSegment: rows)
        return [
            ("a scan of \(rows) rows, top 10", scan(faces)),
            ("a query prepared", count { _ = PreparedQuery(faces.probes[0]) }),
            ("100,000 scores offered to a top 10", topK()),
            ("a segment of \(rows) rows opened", try open(store)),
            ("a face's vector read from its segment", try fetch(store)),
        ]
    }

    private static func scan(_ faces: BenchCollection) -> Int {
        let query = PreparedQuery(faces.probes[0])
        var scratch = ScanScratch()
        var best = TopK(limit: 10, minScore: -1)
        let once = { (best: inout TopK, scratch: inout ScanScratch) in
            _ = VectorSearch.scan(
                faces.block(0, byPlanes: true), dead: RowBitmap(), query: query, into: &best, scratch: &scratch)
        }
        once(&best, &scratch)
        return count { once(&best, &scratch) }
    }

    private static func topK() -> Int {
        var bits = Bits(state: 3)
        return count {
            var best = TopK(limit: 10, minScore: -1)
            for row in 0..<100_000 {
                let score = Float(bits.next() >> 40) / 0x1p24
                best.insert(
                    Match(face: BenchCollection.id(row), score: score), at: RowLocator(source: .segment(1), row: row))
            }
        }
    }

    private static func open(_ store: BenchStore) throws -> Int {
        try count { _ = try store.reopened() }
    }

    private static func fetch(_ store: BenchStore) throws -> Int {
        let snapshot = store.snapshot(of: try store.reopened())
        let locator = RowLocator(source: .segment(snapshot.segments[0].segment.number), row: 17)
        _ = try snapshot.vector(at: locator)
        return try count { _ = try snapshot.vector(at: locator) }
    }

    private static func count(_ work: () throws -> Void) rethrows -> Int {
        let before = facet_allocations()
        try work()
        return Int(facet_allocations() - before)
    }
}
