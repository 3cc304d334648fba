import FaceModel
import Foundation
import SegmentStore
import StorageIO
import VectorSearch

/// More faces than there is memory for vectors: streamed into segments, opened, searched by all threads.
enum StreamSection {
    private static let rowsPerSegment = 1 << 18
    private static let probes = 100
    private static let diskSlack = 4 << 30
    /// Of fp32 rows as segments keep them, planes, ids and the rest: measured, with a margin.
    private static let diskBytesPerDimension = 4.7

    struct NoRoom: Error, CustomStringConvertible {
        var description: String
    }

    static func run(_ settings: Settings, _ bars: Bars) throws {
        for dimension in settings.dimensions { try run(dimension, settings, bars) }
    }

    private static func run(_ dimension: Int, _ settings: Settings, _ bars: Bars) throws {
        let directory = settings.directory + "/stream"
        let complete = "\(directory)-\(settings.set.rawValue)-\(dimension)-\(settings.faces)"
        let isThere = settings.keep && FileManager.default.fileExists(atPath: complete)
        let opening = ContinuousClock.now
        let store = try BenchStore(directory: directory, dimension: dimension, opening: isThere)
        let opened = nanoseconds(since: opening) / 1e9
        defer { if !settings.keep { store.remove() } }
        say("\n## \(settings.faces) x \(dimension), set \(settings.set.rawValue), streamed into segments")
        if isThere {
            let bytes = Double(store.diskBytes) / Double(settings.faces)
            say("the segments of an earlier run, \(bytes.one) B a face on disk; opened in \(opened.two) s")
        } else {
            try requireRoom(Int(Double(settings.faces * dimension) * diskBytesPerDimension), at: directory)
            try fill(store, dimension, settings)
            if settings.keep { try Data().write(to: URL(fileURLWithPath: complete)) }
        }
        try search(store, try probes(dimension, settings), dimension, settings, bars)
    }

    private static func requireRoom(_ bytes: Int, at directory: String) throws {
        let space = try POSIXFileSystem().space(at: directory)
        guard space.free >= bytes + diskSlack else {
            let wanted = (bytes + diskSlack) >> 30
            throw NoRoom(description: "\(directory): \(wanted) GiB are needed, \(space.free >> 30) GiB are free")
        }
    }

    private static func fill(_ store: BenchStore, _ dimension: Int, _ settings: Settings) throws {
        let start = ContinuousClock.now
        let generator = FaceGenerator(settings.set, dimension: dimension)
        let rotation = try BenchCollection.rotation(dimension)
        let blocks = blocks(of: settings)
        let perSegment = rowsPerSegment / FaceGenerator.blockRows
        for first in stride(from: 0, to: blocks, by: perSegment) {
            let count = min(perSegment, blocks - first)
            let made = Results<[SegmentRow]>(repeating: [], count: count)
            DispatchQueue.concurrentPerform(iterations: count) { at in
                let number = first + at
                let block = generator.block(number, probes: 0)
                made[at] = rows(block.rows, from: number * FaceGenerator.blockRows, rotation)
            }
            try store.flush((0..<count).flatMap { made[$0] })
        }
        let (took, bytes) = (nanoseconds(since: start) / 1e9, Double(store.diskBytes))
        say("made, rotated and written in \(took.one) s; \((bytes / Double(settings.faces)).one) B a face on disk")
    }

    private static func blocks(of settings: Settings) -> Int {
        (settings.faces + FaceGenerator.blockRows - 1) / FaceGenerator.blockRows
    }

    /// Fresh images of identities from all over the set.
    private static func probes(_ dimension: Int, _ settings: Settings) throws -> [RotatedVector] {
        let generator = FaceGenerator(settings.set, dimension: dimension)
        let rotation = try BenchCollection.rotation(dimension)
        let blocks = blocks(of: settings)
        return stride(from: 0, to: blocks, by: max(1, blocks / probes)).prefix(probes).flatMap {
            BenchCollection.vectors(generator.block($0, probes: 1).probes, rotation)
        }
    }

    private static func rows(_ flat: [Float], from first: Int, _ rotation: Rotation) -> [SegmentRow] {
        BenchCollection.vectors(flat, rotation).enumerated().map { row, vector in
            SegmentRow(
                id: BenchCollection.id(first + row), leaf: .root, vector: vector,
                record: FaceRecord(imageID: nil, detail: nil))
        }
    }

    private static func search(
        _ store: BenchStore, _ probes: [RotatedVector], _ dimension: Int, _ settings: Settings, _ bars: Bars
    ) throws {
        store.close()
        let start = ContinuousClock.now
        let opened = try store.reopened()
        let searching = ParallelSearch(store.snapshot(of: opened), threads: settings.threads)
        _ = try searching.search(probes[0], .plain)
        let restart = nanoseconds(since: start) / 1e9
        let memory = Memory.now
        say("first answer \(restart.two) s after opening; \(memory.anonymous >> 20) MiB resident of its own")
        bars.add(
            "restart to first answer, \(settings.faces) x \(dimension), scaled to 10 M", bar: "<= 15 s",
            figure: "\((restart * 10e6 / Double(settings.faces)).one) s",
            reached: restart * 10e6 / Double(settings.faces) <= 15)
        for search in [Search.plain, .threshold] {
            var times = Times()
            for probe in probes { times.add(try Times.of { _ = try searching.search(probe, search) }) }
            report(times, search, dimension, settings, bars)
        }
    }

    private static func report(
        _ times: Times, _ search: Search, _ dimension: Int, _ settings: Settings, _ bars: Bars
    ) {
        let (median, tail) = (times.percentile(0.5, \.wall) / 1e6, times.percentile(0.99, \.wall) / 1e6)
        let code = PlaneCode(dimension: dimension)
        let firstBytes = Double(settings.faces) * Double(code.first * dimension / 8 + 8)
        let rate = firstBytes / median / 1e6
        say(
            "\(search.name), \(settings.threads) threads: p50 \(median.two) ms, p99 \(tail.two) ms, "
                + "\(rate.one) GB/s of first planes; load \(Machine.load)")
        let limit = 75 * Double(settings.faces) / 12e6
        bars.add(
            "\(search.name), \(settings.faces) x \(dimension), \(settings.threads) threads",
            bar: "p50 <= \(limit.one) ms, p99 <= 1.5 p50", figure: "\(median.two), \(tail.two) ms",
            reached: median <= limit && tail <= 1.5 * median)
    }
}
