import FaceModel
import Foundation
import SegmentStore
import Synchronization
import VectorSearch

/// Whole searches of a snapshot as a replica makes them: parts shared by threads, and the bounds with them; several
/// queries in one pass, one query ahead first where that is worth it.
final class ParallelSearch: Sendable {
    private struct State {
        var tops: [TopK]
        var next = 0
        var failure: (any Error)?
    }

    private let threads: Int
    private let rooms: [Int]
    private let rows: Int
    private let scan: @Sendable (Int, [PreparedQuery], inout [TopK], inout ScanScratch, ScanPass) throws -> Void

    init(_ snapshot: SearchSnapshot, threads: Int) {
        self.threads = threads
        let parts = snapshot.parts(rowsPerPart: BenchCollection.rowsPerPart)
        rooms = parts.map(\.sumsMax)
        rows = parts.reduce(0) { $0 + $1.rows }
        scan = { part, queries, tops, scratch, pass in
            _ = try snapshot.scan(parts[part], queries: queries, into: &tops, scratch: &scratch, pass: pass)
        }
    }

    /// Of rows in memory.
    init(_ faces: BenchCollection, threads: Int) {
        self.threads = threads
        let starts = Array(stride(from: 0, to: faces.count, by: BenchCollection.rowsPerPart))
        rooms = starts.map { _ in BenchCollection.rowsPerPart }
        rows = faces.count
        scan = { part, queries, tops, scratch, pass in
            _ = VectorSearch.scan(
                faces.block(starts[part], byPlanes: true), dead: RowBitmap(), queries: queries, into: &tops,
                scratch: &scratch, pass: pass)
        }
    }

    func search(_ probe: RotatedVector, _ search: Search) throws -> [ScoredRow] { try self.search([probe], search)[0] }

    func search(_ probes: [RotatedVector], _ search: Search) throws -> [[ScoredRow]] {
        let queries = probes.map { PreparedQuery($0) }
        let sums = FirstSums(
            rooms: rooms, rows: rows, queries: queries, minScores: queries.map { _ in search.minScore })
        let empty = TopK(limit: search.limit, minScore: search.minScore)
        let none = [TopK](repeating: empty, count: queries.count)
        let ahead = try sums.parts == 0 ? none : pass(queries, none, parts: sums.parts) { sums.pass($0, isAhead: true) }
        let tops = ahead.map { TopK(limit: search.limit, minScore: $0.bound) }
        return try pass(queries, tops, parts: rooms.count) { sums.pass($0, isAhead: false) }.map { $0.sorted() }
    }

    private func pass(
        _ queries: [PreparedQuery], _ tops: [TopK], parts: Int, _ kind: @Sendable (Int) -> ScanPass
    ) throws -> [TopK] {
        let state = Mutex(State(tops: tops))
        if threads == 1 {
            work(queries, state, parts, kind)
        } else {
            DispatchQueue.concurrentPerform(iterations: threads) { _ in work(queries, state, parts, kind) }
        }
        let ended = state.withLock { $0 }
        if let failure = ended.failure { throw failure }
        return ended.tops
    }

    private func work(
        _ queries: [PreparedQuery], _ state: borrowing Mutex<State>, _ parts: Int, _ kind: (Int) -> ScanPass
    ) {
        var scratch = ScanScratch()
        while true {
            let taken: (part: Int, tops: [TopK])? = state.withLock { state in
                guard state.next < parts else { return nil }
                defer { state.next += 1 }
                return (state.next, state.tops.map { TopK(limit: $0.limit, minScore: $0.bound) })
            }
            guard let taken else { return }
            var tops = taken.tops
            do {
                try scan(taken.part, queries, &tops, &scratch, kind(taken.part))
                let found = tops
                state.withLock { state in for at in found.indices { state.tops[at].merge(found[at]) } }
            } catch {
                state.withLock { $0.failure = error }
            }
        }
    }
}
