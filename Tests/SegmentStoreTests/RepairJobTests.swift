import FaceModel
import StorageIO
import Testing
import VectorSearch

@testable import SegmentStore

private let path = "/data/segments/segment-0000000000000001.seg"

/// A store with one segment of 300 faces.
private func made(_ rows: [SegmentRow]) throws -> (ForgetfulDisk, SegmentStore, Segment) {
    let disk = ForgetfulDisk()
    let store = try SegmentStore.open(directory: "/data/segments", identity: identity(dimension: 64), on: disk)
    return (disk, store, try #require(try store.flush(rows, through: LogIndex(300))))
}

@Test private func theCheckFindsEveryTurnedByte() throws {
    var generator = Seeded(31)
    let (disk, _, segment) = try made(generator.rows(300, dimension: 64, leaves: 3))
    var pieces = 0
    try segment.check(fromDisk: true) { bytes in
        pieces += bytes
        return true
    }
    let whole = try #require(disk.contents(path))
    #expect(pieces > whole.count * 9 / 10)
    for place in 0..<400 {
        let at =
            place < 64
            ? place : place < 128 ? whole.count - 1 - place % 64 : Int(generator.next() % UInt64(whole.count))
        let file = try disk.open(path, .readWrite)
        try file.write(all: [whole[at] ^ 0x41], at: at)
        #expect(throws: SegmentError.self, "byte \(at)") { try segment.check(fromDisk: true) { _ in true } }
        try file.write(all: [whole[at]], at: at)
    }
    try segment.check(fromDisk: true) { _ in false }
}

@Test private func aRepairTakesFromElsewhereOnlyWhatTheFileDoesNotGive() throws {
    var generator = Seeded(32)
    let rows = generator.rows(300, dimension: 64, leaves: 3)
    let (disk, store, segment) = try made(rows)
    let live = (0..<segment.count).filter { $0 % 7 != 0 }.map {
        RepairJob.Row(leaf: segment.leaf($0), id: segment.id($0), row: $0)
    }
    let whole = try #require(disk.contents(path))
    let file = try disk.open(path, .readWrite)
    // In the first leaf's vectors.
    try file.write(all: [whole[5_000] ^ 0x41], at: 5_000)
    let known = Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0) })
    let fault = SegmentError.damaged(path: path, offset: 0, block: nil, reason: "a test")
    var asked: [FaceID] = []
    let nobody = store.beginRepair(of: segment.number, for: fault)
    #expect(throws: fault) { _ = try nobody.write(live) { _ in [:] } }
    store.abandon(nobody)
    let job = store.beginRepair(of: segment.number, for: fault)
    let repaired = try job.write(live) { ids in
        asked += ids
        return known.filter { ids.contains($0.key) }
    }
    #expect(repaired.supplied == asked.count && asked.count > 0 && asked.count < live.count)
    try store.install(repaired.merged)
    try store.removeObsoleteFiles()
    let again = try SegmentStore.open(directory: "/data/segments", identity: identity(dimension: 64), on: disk)
    let sound = try #require(again.segments.first)
    #expect(again.segments.count == 1)
    let read = try (0..<sound.count).map { row in
        SegmentRow(
            id: sound.id(row), leaf: sound.leaf(row), vector: try sound.vector(row), record: try sound.record(row))
    }
    #expect(read == live.compactMap { known[$0.id] }.sorted(by: SegmentRow.precedes))
}
