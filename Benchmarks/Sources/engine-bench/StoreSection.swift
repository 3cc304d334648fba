import CAllocationCount
import FaceModel
import Foundation
import SegmentStore
import VectorSearch

/// A collection as segments on this disk, its later planes in memory and mapped: what a face takes there and in memory,
/// how long opening, the first answer and a search take, and whether answers are those of the collection in memory.
enum StoreSection {
    private static let rowsPerSegment = 1 << 17
    private static let probesAnswered = 50

    /// What a mode is called, what it asks of the store, and its bar.
    private struct Mode {
        var name: String
        var mapsPlanes: Bool
        var residentMax: Double

        static let all = [
            Mode(name: "planes 2-4 in memory", mapsPlanes: false, residentMax: 300),
            Mode(name: "planes 2-4 mapped", mapsPlanes: true, residentMax: 110),
        ]
    }

    static func run(_ faces: BenchCollection, _ settings: Settings, _ bars: Bars) throws {
        let store = try BenchStore(directory: settings.directory + "/store", dimension: faces.dimension)
        defer { store.remove() }
        let write = ContinuousClock.now
        try store.fill(from: faces, rowsPerSegment: rowsPerSegment)
        let written = nanoseconds(since: write) / 1e9
        let disk = Double(store.diskBytes) / Double(faces.count)
        say("\nsegments: \(disk.one) B a face on disk, written in \(written.one) s, synced; load \(Machine.load)")
        store.close()
        let expected = answers(faces)
        for mode in Mode.all { try open(store, mode, faces, expected, settings, bars) }
        try fetch(store, faces)
        try compare(store, faces, settings)
    }

    /// Of the collection in memory.
    private static func answers(_ faces: BenchCollection) -> [[Match]] {
        var scratch = ScanScratch()
        return faces.probes.prefix(probesAnswered).map { probe in
            faces.search(PreparedQuery(probe), .plain, byPlanes: true, &scratch).map(\.match)
        }
    }

    private static func open(
        _ store: BenchStore, _ mode: Mode, _ faces: BenchCollection, _ expected: [[Match]], _ settings: Settings,
        _ bars: Bars
    ) throws {
        // What writing and searching freed would hide what opening takes.
        facet_give_back_freed()
        let before = Memory.now
        let start = ContinuousClock.now
        let opened = try store.reopened(mapsPlanes: mode.mapsPlanes)
        let snapshot = store.snapshot(of: opened)
        let searching = ParallelSearch(snapshot, threads: settings.threads)
        let openSeconds = nanoseconds(since: start) / 1e9
        _ = try searching.search(faces.probes[0], .plain)
        let answerSeconds = nanoseconds(since: start) / 1e9
        say(
            "\n\(mode.name): opened in \(openSeconds.two) s, first answer after \(answerSeconds.two) s, files in the cache"
        )
        let scaled = answerSeconds * 10e6 / Double(faces.count)
        let size = "\(faces.count) x \(faces.dimension), \(mode.name)"
        bars.add(
            "restart to first answer, \(size), scaled to 10 M", bar: "<= 15 s", figure: "\(scaled.one) s",
            reached: scaled <= 15)
        var equal = 0
        for (probe, matches) in zip(faces.probes, expected) {
            if try searching.search(probe, .plain).map(\.match) == matches { equal += 1 }
        }
        bars.add(
            "answers from segments, \(size)", bar: "those of memory", figure: "\(equal) of \(expected.count)",
            reached: equal == expected.count)
        memory(snapshot, before, mode, faces, bars)
    }

    private static func memory(
        _ snapshot: SearchSnapshot, _ before: Memory, _ mode: Mode, _ faces: BenchCollection, _ bars: Bars
    ) {
        facet_give_back_freed()
        var refused: Int32?
        for view in snapshot.segments { refused = view.segment.lockFirstScan() ?? refused }
        let count = Double(faces.count)
        let grown = Memory.now.less(before)
        let (own, files) = (Double(grown.anonymous) / count, Double(grown.file) / count)
        let locked = Double(grown.locked) / count
        say(
            "a face: \(own.one) B resident of its own, \(files.one) B of mapped files, \(locked.one) B locked; counted "
                + "\((Double(snapshot.residentBytes) / count).one) B resident, "
                + "\((Double(snapshot.mappedBytes) / count).one) B mapped")
        if let refused { say("not all of it could be locked: errno \(refused)") }
        guard faces.dimension == 512 else { return }
        bars.add(
            "memory a face, locked, \(mode.name)", bar: "<= 80 B", figure: "\(locked.one) B",
            reached: refused == nil && locked > 0 && locked <= 80)
        bars.add(
            "memory a face, resident, \(mode.name)", bar: "<= \(Int(mode.residentMax)) B", figure: "\(own.one) B",
            reached: own <= mode.residentMax)
    }

    /// Vectors as a search fetches them, rows far apart and in the page cache.
    private static func fetch(_ store: BenchStore, _ faces: BenchCollection) throws {
        let segment = store.snapshot(of: try store.reopened()).segments[0].segment
        var bits = Bits(state: 5)
        let rows = (0..<4_096).map { _ in Int(bits.next() % UInt64(segment.count)) }
        let floats = UnsafeMutablePointer<Float>.allocate(capacity: ScanScratch.rowsPerRead * faces.dimension)
        defer { floats.deallocate() }
        let times = try [1, ScanScratch.rowsPerRead].map { together in
            try Times.median(shares: rows.count) {
                for start in stride(from: 0, to: rows.count, by: together) {
                    try rows[start..<start + together].withUnsafeBufferPointer { try segment.read($0, to: floats) }
                }
            }
        }
        say(
            "\na vector fetched from the page cache: \((times[0] / 1_000).two) us alone, \((times[1] / 1_000).two) us "
                + "each of \(ScanScratch.rowsPerRead), processor time; load \(Machine.load)")
    }

    /// Both modes open, probes in turn: what else the machine does slows both.
    private static func compare(_ store: BenchStore, _ faces: BenchCollection, _ settings: Settings) throws {
        let searching = try Mode.all.map { mode in
            ParallelSearch(
                store.snapshot(of: try store.reopened(mapsPlanes: mode.mapsPlanes)), threads: settings.threads)
        }
        for search in [Search.plain, .threshold] {
            var times = Mode.all.map { _ in Times() }
            for probe in faces.probes.prefix(settings.timed) {
                for (at, mode) in searching.enumerated() {
                    times[at].add(try Times.of { _ = try mode.search(probe, search) })
                }
            }
            for (mode, times) in zip(Mode.all, times) {
                let (median, tail) = (times.percentile(0.5, \.wall) / 1e6, times.percentile(0.99, \.wall) / 1e6)
                say(
                    "\(search.name), \(settings.threads) threads, \(mode.name): p50 \(median.two) ms, p99 \(tail.two) ms; "
                        + "load \(Machine.load)")
            }
        }
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
