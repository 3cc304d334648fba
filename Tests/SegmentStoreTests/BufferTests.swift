import FaceModel
import SegmentStore
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
    #expect(replica.search(rows[0].vector, limit: 1).matches.first?.match.face != rows[0].id)
    var older = replica
    older.snapshot = published
    #expect(older.search(rows[0].vector, limit: 1).matches.first?.match.face == rows[0].id)
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
    let found = replica.search(vector, limit: 80)
    #expect(found.matches.map(\.match.face) == Array(rows.map(\.id).sorted().prefix(80)))
    #expect(found.scored == 3_000)
}
