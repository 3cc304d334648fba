import CAllocationCount
import ClusterModel
import FaceModel
import Foundation
import Synchronization
import VectorSearch

/// A shard that is filled, searched meanwhile, emptied by 60 % and compacted, through the node that serves it, on this
/// disk: log, state and segments as in a server.
struct ShardSection: Sendable {
    private static let batch = 500
    private static let callers = 4
    private static let checked = 12
    /// Deletes go in so many rounds, with checks between them.
    private static let rounds = 6

    let faces: BenchCollection
    let settings: Settings
    private var directory: String { settings.directory + "/shard" }

    static func run(_ faces: BenchCollection, _ settings: Settings, _ bars: Bars) throws {
        let section = ShardSection(faces: faces, settings: settings)
        try section.clear()
        let lines = try blocking { try await section.measure() }
        for line in lines { bars.add(line.what, bar: line.bar, figure: line.figure, reached: line.reached) }
        try section.clear()
    }

    /// Numbers for whoever comes next, from 0.
    private final class Queue: Sendable {
        private let taken = Atomic(0)
        private let closed = Atomic(false)

        func next() -> Int { taken.wrappingAdd(1, ordering: .relaxed).oldValue }
        func close() { closed.store(true, ordering: .releasing) }
        var isClosed: Bool { closed.load(ordering: .acquiring) }
    }

    private struct Line: Sendable {
        var what: String
        var bar: String
        var figure: String
        var reached: Bool
    }

    private func clear() throws {
        if FileManager.default.fileExists(atPath: directory) { try FileManager.default.removeItem(atPath: directory) }
    }

    private func shard(_ number: UInt64, making: Bool) async throws -> BenchShard {
        try await BenchShard(
            directory: directory, number: number, dimension: faces.dimension, threads: settings.threads, making: making)
    }

    private func measure() async throws -> [Line] {
        let first = try await shard(1, making: true)
        let (ids, ingest) = try await fill(first)
        let lines = try await delete(ids, from: first)
        return ingest + lines
    }

    // MARK: Ingest

    /// The ids by row, and the bars of ingest: the first half alone, the second beside searches.
    private func fill(_ shard: BenchShard) async throws -> ([FaceID], [Line]) {
        let half = faces.count / 2 / Self.batch * Self.batch
        say("\nshard: batches of \(Self.batch), \(Self.callers) at a time; load \(Machine.load)")
        let start = ContinuousClock.now
        var ids = try await enrol(0..<half, in: shard, "alone")
        let idleBefore = try await latency(shard) { $0 >= settings.timed }
        let before = nanoseconds(since: start)
        let restart = ContinuousClock.now
        let filling = Queue()
        async let beside = latency(shard) { _ in filling.isClosed }
        ids += try await enrol(half..<faces.count, in: shard, "beside searches")
        filling.close()
        let meanwhile = try await beside
        let seconds = (before + nanoseconds(since: restart)) / 1e9
        let settling = ContinuousClock.now
        _ = try await shard.settled()
        say("merges went on for \((nanoseconds(since: settling) / 1e9).one) s, six of which are the wait for their end")
        let idleAfter = try await latency(shard) { $0 >= settings.timed }
        let tails = [idleBefore, meanwhile, idleAfter].map { $0.percentile(0.99, \.wall) / 1e6 }
        let medians = [idleBefore, meanwhile, idleAfter].map { $0.percentile(0.5, \.wall) / 1e6 }
        say(
            "searches, p50 and p99 in ms: idle at half \(medians[0].two), \(tails[0].two); while it grows "
                + "\(medians[1].two), \(tails[1].two) (\(meanwhile.wall.count)); idle when full \(medians[2].two), "
                + "\(tails[2].two); load \(Machine.load)")
        let rate = Double(faces.count) / seconds
        let ratio = tails[1] / ((tails[0] + tails[2]) / 2)
        let size = "\(faces.count) x \(faces.dimension)"
        return (
            ids,
            [
                Line(
                    what: "ingest, durable, one shard, to \(size)", bar: ">= 20,000 faces/s", figure: "\(Int(rate))",
                    reached: rate >= 20_000),
                Line(
                    what: "search p99 meanwhile, \(size)", bar: "<= 2x idle", figure: "\(ratio.two)x",
                    reached: ratio <= 2),
            ]
        )
    }

    /// The ids in the rows' order.
    private func enrol(_ rows: Range<Int>, in shard: BenchShard, _ how: String) async throws -> [FaceID] {
        let batches = stride(from: rows.lowerBound, to: rows.upperBound, by: Self.batch).map {
            $0..<min($0 + Self.batch, rows.upperBound)
        }
        let (start, used) = (ContinuousClock.now, Processor.seconds)
        let queue = Queue()
        let found = Results<[FaceID]>(repeating: [], count: batches.count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.callers {
                group.addTask { [faces] in
                    while true {
                        let at = queue.next()
                        guard at < batches.count else { return }
                        found[at] = try await shard.enrol(batches[at], of: faces)
                    }
                }
            }
            try await group.waitForAll()
        }
        let seconds = nanoseconds(since: start) / 1e9
        let all = (Processor.seconds - used) / Double(rows.count) * 1e6
        let segments = try await shard.statistics().segments
        say(
            "\(rows.count) faces \(how): \(Int(Double(rows.count) / seconds)) a second, \(seconds.one) s; processor time a "
                + "face, all threads: \(all.one) us; \(segments) segments; load \(Machine.load)")
        return batches.indices.flatMap { found[$0] }
    }

    private func latency(_ shard: BenchShard, until isEnough: @Sendable (Int) -> Bool) async throws -> Times {
        var times = Times()
        var count = 0
        while !isEnough(count) {
            let probe = faces.probes[count % faces.probes.count]
            let start = ContinuousClock.now
            _ = try await shard.search(probe, .plain)
            times.add((nanoseconds(since: start), 0))
            count += 1
        }
        return times
    }

    // MARK: Delete and compact

    private func delete(_ ids: [FaceID], from shard: BenchShard) async throws -> [Line] {
        var dead = RowBitmap()
        var (wrong, searched) = (0, 0)
        let start = ContinuousClock.now
        let doomed = ids.indices.filter { $0 % 5 < 3 }
        let round = (doomed.count + Self.rounds - 1) / Self.rounds
        for begin in stride(from: 0, to: doomed.count, by: round) {
            let rows = doomed[begin..<min(begin + round, doomed.count)]
            for some in stride(from: rows.startIndex, to: rows.endIndex, by: Self.batch) {
                try await shard.delete(rows[some..<min(some + Self.batch, rows.endIndex)].map { ids[$0] })
            }
            for row in rows { dead.insert(row) }
            let outcome = try await check(shard, ids, dead)
            (wrong, searched) = (wrong + outcome.wrong, searched + outcome.searched)
        }
        let deleting = nanoseconds(since: start) / 1e9
        _ = try await shard.settled()
        let outcome = try await check(shard, ids, dead)
        (wrong, searched) = (wrong + outcome.wrong, searched + outcome.searched)
        let settled = nanoseconds(since: start) / 1e9
        say("\n\(doomed.count) of \(ids.count) faces deleted in \(deleting.one) s, settled after \(settled.one) s")
        await shard.stop()
        let emptied = try await footprint(1, "what is left")
        let rest = try await self.shard(2, making: true)
        let left = ids.indices.filter { $0 % 5 >= 3 }
        for some in stride(from: 0, to: left.count, by: Self.batch) {
            _ = try await rest.enrol(left[some..<min(some + Self.batch, left.count)], of: faces)
        }
        _ = try await rest.settled()
        await rest.stop()
        let fresh = try await footprint(2, "a fresh load of it")
        return lines(emptied, fresh, wrong: wrong, searched: searched)
    }

    private struct Footprint: Sendable {
        var resident: Int
        var counted: Int
        var disk: Int
    }

    /// Of a shard opened anew, so that both are measured alike.
    private func footprint(_ number: UInt64, _ name: String) async throws -> Footprint {
        // What the shard before held goes with the last of its threads.
        try await Task.sleep(for: .seconds(1))
        facet_give_back_freed()
        let before = Memory.now
        let shard = try await shard(number, making: false)
        let statistics = try await shard.statistics()
        facet_give_back_freed()
        let grown = Memory.now.less(before)
        let disk = try shard.diskBytes()
        let parts = disk.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value >> 20)" }.joined(separator: ", ")
        say(
            "\(name): \(statistics.faces) faces in \(statistics.segments) segments and \(statistics.bufferedFaces) buffered; "
                + "resident \(grown.anonymous >> 20) MiB, counted \(statistics.residentBytes >> 20); on disk, MiB: \(parts)"
        )
        await shard.stop()
        return Footprint(
            resident: grown.anonymous, counted: statistics.residentBytes, disk: disk.values.reduce(0, +))
    }

    private func lines(_ emptied: Footprint, _ fresh: Footprint, wrong: Int, searched: Int) -> [Line] {
        let size = "60 % of \(faces.count) x \(faces.dimension) deleted"
        let resident = Double(emptied.counted) / Double(fresh.counted)
        let measured = Double(emptied.resident) / Double(fresh.resident)
        let disk = Double(emptied.disk) / Double(fresh.disk)
        return [
            Line(
                what: "\(size): resident to a fresh load's", bar: "<= 1.1x",
                figure: "\(resident.two)x counted, \(measured.two)x measured", reached: max(resident, measured) <= 1.1),
            Line(what: "\(size): disk to a fresh load's", bar: "<= 1.1x", figure: "\(disk.two)x", reached: disk <= 1.1),
            Line(
                what: "\(size): searches meanwhile and after", bar: "none wrong",
                figure: "\(wrong) of \(searched) wrong",
                reached: wrong == 0),
        ]
    }

    /// Probes whose answers are not those of the faces that live, searched in memory.
    private func check(
        _ shard: BenchShard, _ ids: [FaceID], _ dead: RowBitmap
    ) async throws -> (wrong: Int, searched: Int) {
        var wrong = 0
        for probe in faces.probes.prefix(Self.checked) {
            let found = try await shard.search(probe, .plain)
            let expected = living(probe, dead)
            let same =
                found.count == expected.count
                && zip(found, expected).allSatisfy { $0.score == $1.score && $0.face == ids[$1.row] }
            if !same { wrong += 1 }
        }
        return (wrong, min(Self.checked, faces.probes.count))
    }

    private func living(_ probe: RotatedVector, _ dead: RowBitmap) -> [(row: Int, score: Float)] {
        var scratch = ScanScratch()
        let query = PreparedQuery(probe)
        var best = TopK(limit: Search.plain.limit, minScore: Search.plain.minScore)
        for start in stride(from: 0, to: faces.count, by: BenchCollection.rowsPerPart) {
            var part = TopK(limit: Search.plain.limit, minScore: best.bound)
            _ = scan(
                faces.block(start, byPlanes: true), dead: dead, query: query, into: &part, scratch: &scratch)
            best.merge(part)
        }
        return best.sorted().map { (row: $0.locator.row, score: $0.match.score) }
    }
}
