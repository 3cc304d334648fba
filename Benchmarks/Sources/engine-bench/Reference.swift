import CVectorKernels
import FaceModel
import Foundation
import VectorSearch

/// What a search must answer: every row scored by the scalar reference kernel in doubles, a sort by score and FaceId.
enum Reference {
    static let limit = 80
    /// Rows that stay in a core's second level cache while every probe is compared with them.
    private static let rowsPerBlock = 128
    private static let probesPerTask = 25

    /// The best `limit` of each probe, whatever their score.
    static func best(of probes: [RotatedVector], in faces: BenchCollection) -> [[ScoredRow]] {
        let tasks = (probes.count + probesPerTask - 1) / probesPerTask
        let results = Results<[[ScoredRow]]>(repeating: [], count: tasks)
        DispatchQueue.concurrentPerform(iterations: tasks) { task in
            let some = probes[task * probesPerTask..<min((task + 1) * probesPerTask, probes.count)]
            results[task] = scan(some.map { $0.values.map(Double.init) }, faces)
        }
        return (0..<tasks).flatMap { results[$0] }
    }

    private static func scan(_ probes: [[Double]], _ faces: BenchCollection) -> [[ScoredRow]] {
        var best = [TopK](repeating: TopK(limit: limit, minScore: -1), count: probes.count)
        var scores = [Float](repeating: 0, count: rowsPerBlock)
        for start in stride(from: 0, to: faces.count, by: rowsPerBlock) {
            let count = min(rowsPerBlock, faces.count - start)
            for (probe, values) in probes.enumerated() {
                facet_score_rows_with(
                    0, values, faces.rows + start * faces.dimension, count, faces.dimension, &scores)
                let bound = best[probe].bound
                for row in 0..<count where scores[row] >= bound {
                    let match = Match(face: faces.ids[start + row], score: scores[row])
                    best[probe].insert(match, at: RowLocator(source: .segment(1), row: start + row))
                }
            }
        }
        return best.map { $0.sorted() }
    }
}
