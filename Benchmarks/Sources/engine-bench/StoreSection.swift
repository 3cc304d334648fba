import CAllocationCount
import FaceModel
import Foundation
import SegmentStore
import VectorSearch

/// A collection as segments on this disk: what a face takes there and in memory, how long opening and the first answer
/// take, and whether answers are those of the collection in memory.
enum StoreSection {
    private static let rowsPerSegment = 1 << 17
    private static let probesAnswered = 50

    static func run(_ faces: BenchCollection, _ settings: Settings, _ bars: Bars) throws {
        let store = try BenchStore(directory: settings.directory + "/store", dimension: faces.dimension)
        defer { store.remove() }
        let write = ContinuousClock.now
        try store.fill(from: faces, rowsPerSegment: rowsPerSegment)
        let written = nanoseconds(since: write) / 1e9
        let disk = Double(store.diskBytes) / Double(faces.count)
        say("\nsegments: \(disk.one) B a face on disk, written in \(written.one) s, synced; load \(Machine.load)")
        try open(store, faces, settings, bars)
    }

    private static func open(
        _ store: BenchStore, _ faces: BenchCollection, _ settings: Settings, _ bars: Bars
    ) throws {
        store.close()
        // What writing freed would hide what opening takes.
        facet_give_back_freed()
        let before = Memory.now
        let start = ContinuousClock.now
        let opened = try store.reopened()
        let searching = ParallelSearch(store.snapshot(of: opened), threads: settings.threads)
        let openSeconds = nanoseconds(since: start) / 1e9
        _ = try searching.search(faces.probes[0], .plain)
        let answerSeconds = nanoseconds(since: start) / 1e9
        say("opened in \(openSeconds.two) s, first answer after \(answerSeconds.two) s, files in the page cache")
        let scaled = answerSeconds * 10e6 / Double(faces.count)
        bars.add(
            "restart to first answer, \(faces.count) x \(faces.dimension), scaled to 10 M", bar: "<= 15 s",
            figure: "\(scaled.one) s", reached: scaled <= 15)
        try answers(searching, faces, settings, bars)
        facet_give_back_freed()
        let counted = Double(store.snapshot(of: opened).residentBytes) / Double(faces.count)
        say("by the engine's own account \(counted.one) B a face are resident")
        memory(Memory.now.less(before), faces, bars)
    }

    private static func answers(
        _ searching: ParallelSearch, _ faces: BenchCollection, _ settings: Settings, _ bars: Bars
    ) throws {
        var scratch = ScanScratch()
        var times = Times()
        var equal = 0
        let probes = faces.probes.prefix(probesAnswered)
        for probe in probes {
            var found: [ScoredRow] = []
            times.add(try Times.of { found = try searching.search(probe, .plain) })
            let expected = faces.search(PreparedQuery(probe), .plain, byPlanes: true, &scratch)
            if found.map(\.match) == expected.map(\.match) { equal += 1 }
        }
        let (median, tail) = (times.percentile(0.5, \.wall) / 1e6, times.percentile(0.99, \.wall) / 1e6)
        say(
            "from segments, \(settings.threads) threads: p50 \(median.two) ms, p99 \(tail.two) ms; load \(Machine.load)"
        )
        bars.add(
            "answers from segments, \(faces.count) x \(faces.dimension)", bar: "those of memory",
            figure: "\(equal) of \(probes.count)", reached: equal == probes.count)
    }

    private static func memory(_ grown: Memory, _ faces: BenchCollection, _ bars: Bars) {
        let count = Double(faces.count)
        let (own, mapped) = (Double(grown.anonymous) / count, Double(grown.file) / count)
        let locked = Double(grown.locked) / count
        say("a face: \(own.one) B resident of its own, \(mapped.one) B of mapped files, \(locked.one) B locked")
        guard faces.dimension == 512 else { return }
        bars.add(
            "memory a face, locked", bar: "<= 80 B", figure: "\(locked.one) B", reached: locked > 0 && locked <= 80)
        bars.add(
            "memory a face, resident, planes 2-4 mapped", bar: "<= 110 B", figure: "\(own.one) B", reached: own <= 110)
    }
}

/// What this process holds, from the kernel.
struct Memory {
    /// Not of any file.
    var anonymous: Int
    /// Of mapped files.
    var file: Int
    var locked: Int

    static var now: Memory {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        var values: [Substring: Int] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == ":" || $0 == " " || $0 == "\t" })
            if words.count > 1, let value = Int(words[1]) { values[words[0]] = value * 1_024 }
        }
        return Memory(
            anonymous: values["RssAnon"] ?? 0, file: values["RssFile"] ?? 0, locked: values["VmLck"] ?? 0)
    }

    func less(_ before: Memory) -> Memory {
        Memory(
            anonymous: anonymous - before.anonymous, file: file - before.file, locked: locked - before.locked)
    }
}
