import FaceModel
import SegmentStore
import Synchronization
import Testing
import VectorSearch

@Test private func aViewStaysWhatItWas() throws {
    var generator = Seeded(13)
    let rows = generator.rows(2_500)
    let buffer = Buffer(serial: 4, dimension: 64)
    for row in rows.prefix(1_500) { try buffer.append(row) }
    let early = buffer.view
    for row in rows.dropFirst(1_500) { try buffer.append(row) }
    #expect(early.count == 1_500 && buffer.view.count == 2_500)
    #expect((0..<1_500).map(early.row) == Array(rows.prefix(1_500)))
    #expect((0..<2_500).map(buffer.view.row) == rows)
}

@Test private func aFullBufferRefuses() throws {
    var generator = Seeded(14)
    let row = generator.rows(1)[0]
    let buffer = Buffer(serial: 1, dimension: 64)
    for expected in 0..<Limits.bufferFacesMax { #expect(try buffer.append(row) == expected) }
    #expect(buffer.isFull)
    #expect(throws: SegmentError.bufferFull(limit: Limits.bufferFacesMax)) { try buffer.append(row) }
}

@Test private func aPublishedSnapshotDoesNotSeeWhatFollows() throws {
    var generator = Seeded(15)
    var replica = try Replica(ForgetfulDisk())
    let rows = generator.rows(1_100)
    try replica.enrol(Array(rows.prefix(900)))
    let published = replica.snapshot
    try replica.enrol(Array(rows.dropFirst(900)))
    replica.delete(rows[0].id)
    #expect(published.liveCount == 900 && replica.snapshot.liveCount == 1_099)
    #expect(try replica.search(rows[0].vector, limit: 1).matches.first?.match.face != rows[0].id)
    var older = replica
    older.snapshot = published
    #expect(try older.search(rows[0].vector, limit: 1).matches.first?.match.face == rows[0].id)
}

@Test private func thousandsOfEqualVectorsAreOrderedByID() throws {
    var generator = Seeded(16)
    var replica = try Replica(ForgetfulDisk())
    let vector = generator.vector(64)
    var rows = generator.rows(3_000)
    for index in rows.indices { rows[index].vector = vector }
    try replica.enrol(Array(rows.prefix(2_000)))
    try replica.flush(through: 1)
    try replica.enrol(Array(rows.dropFirst(2_000)))
    let found = try replica.search(vector, limit: 80)
    #expect(found.matches.map(\.match.face) == Array(rows.map(\.id).sorted().prefix(80)))
    #expect(found.scored == 3_000)
}

/// A writer fills tiles and has them encoded while readers scan what was published before.
@Test private func readersScanWhatWasPublishedWhileTilesFill() async throws {
    let dimension = 128
    let empty = SearchSnapshot(dimension: dimension)
    let published = Mutex((snapshot: empty, ended: false))
    async let written: Void = {
        var generator = Seeded(41)
        let buffer = Buffer(serial: 1, dimension: dimension)
        var snapshot = empty
        while buffer.count < 3_000 {
            for row in generator.rows(1 + Int(generator.next() % 90), dimension: dimension) { try buffer.append(row) }
            snapshot.show(buffer.view)
            if buffer.count > 500 {
                snapshot.markDead(at: RowLocator(source: .buffer(1), row: Int(generator.next() % 500)))
            }
            published.withLock { [snapshot] in $0.snapshot = snapshot }
        }
        published.withLock { $0.ended = true }
    }()
    var generator = Seeded(42)
    var ended = false
    while !ended {
        let seen = published.withLock { $0 }
        ended = seen.ended
        let query = generator.vector(dimension)
        #expect(try scanned(seen.snapshot, query) == everyRowScored(seen.snapshot, query))
        await Task.yield()
    }
    try await written
    #expect(published.withLock { $0.snapshot.bufferedCount } >= 3_000)
}

private func scanned(_ snapshot: SearchSnapshot, _ query: RotatedVector) throws -> [Match] {
    var scratch = ScanScratch()
    var best = [TopK(limit: 20, minScore: -1)]
    for part in snapshot.parts(rowsPerPart: 777) {
        _ = try snapshot.scan(part, queries: [PreparedQuery(query)], into: &best, scratch: &scratch)
    }
    return best[0].sorted().map(\.match)
}

private func everyRowScored(_ snapshot: SearchSnapshot, _ query: RotatedVector) throws -> [Match] {
    let rows = (0..<snapshot.bufferedCount).map { RowLocator(source: .buffer(1), row: $0) }
    let live = Set(snapshot.bufferLocators(of: Set(rows.map { snapshot.id(at: $0) })).values)
    let prepared = PreparedQuery(query)
    let matches = try rows.filter(live.contains).map {
        Match(face: snapshot.id(at: $0), score: exactScore(prepared, try snapshot.vector(at: $0)))
    }
    return Array(matches.sorted(by: Match.precedes).prefix(20))
}
