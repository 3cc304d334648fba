import FaceModel
import Foundation
import SegmentStore
import Synchronization
import VectorSearch

/// Whole searches of a snapshot as a replica makes them: parts shared by threads, and the bound with them.
final class ParallelSearch: Sendable {
    private struct State {
        var best: TopK
        var next = 0
        var failure: (any Error)?
    }

    private let snapshot: SearchSnapshot
    private let parts: [ScanPart]
    private let threads: Int

    init(_ snapshot: SearchSnapshot, threads: Int) {
        self.snapshot = snapshot
        self.threads = threads
        parts = snapshot.parts(rowsPerPart: BenchCollection.rowsPerPart)
    }

    func search(_ probe: RotatedVector, _ search: Search) throws -> [ScoredRow] {
        let query = PreparedQuery(probe)
        let state = Mutex(State(best: TopK(limit: search.limit, minScore: search.minScore)))
        if threads == 1 {
            work(query, search, state)
        } else {
            DispatchQueue.concurrentPerform(iterations: threads) { _ in work(query, search, state) }
        }
        let ended = state.withLock { $0 }
        if let failure = ended.failure { throw failure }
        return ended.best.sorted()
    }

    private func work(_ query: PreparedQuery, _ search: Search, _ state: borrowing Mutex<State>) {
        var scratch = ScanScratch()
        while true {
            let taken: (part: Int, bound: Float)? = state.withLock { state in
                guard state.next < parts.count else { return nil }
                defer { state.next += 1 }
                return (state.next, state.best.bound)
            }
            guard let taken else { return }
            var best = TopK(limit: search.limit, minScore: taken.bound)
            do {
                _ = try snapshot.scan(parts[taken.part], query: query, into: &best, scratch: &scratch)
                state.withLock { $0.best.merge(best) }
            } catch {
                state.withLock { $0.failure = error }
            }
        }
    }
}
