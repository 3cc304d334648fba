import FaceModel
import StorageIO
import Testing

@testable import SegmentStore

private let path = "/data/segments/segment-0000000000000001.seg"

private func made(_ rows: [SegmentRow], dimension: Int = 64) throws -> (ForgetfulDisk, Segment) {
    let disk = ForgetfulDisk()
    let store = try SegmentStore.open(directory: "/data/segments", identity: identity(dimension: dimension), on: disk)
    return (disk, try #require(try store.flush(rows, through: LogIndex(UInt64(rows.count)))))
}

private func reopened(_ disk: ForgetfulDisk, dimension: Int = 64) throws -> Segment {
    let store = try SegmentStore.open(directory: "/data/segments", identity: identity(dimension: dimension), on: disk)
    return try #require(store.segments.first)
}

private func faces(_ segment: Segment) throws -> [SegmentRow] {
    try (0..<segment.count).map {
        SegmentRow(
            id: segment.id($0), leaf: segment.leaf($0), vector: try segment.vector($0), record: try segment.record($0))
    }
}

@Test(arguments: [(1, 64, 1), (3, 72, 1), (4, 64, 2), (257, 128, 3), (1_025, 64, 1), (4_100, 64, 1), (5_000, 64, 40)])
private func rowsComeBackAsTheyWere(_ count: Int, _ dimension: Int, _ leaves: UInt32) throws {
    var generator = Seeded(UInt64(count))
    let rows = generator.rows(count, dimension: dimension, leaves: leaves)
    let (disk, written) = try made(rows, dimension: dimension)
    for segment in [written, try reopened(disk, dimension: dimension)] {
        let read = try faces(segment)
        #expect(read == rows.sorted(by: SegmentRow.precedes))
        for (row, face) in zip(read, rows.sorted(by: SegmentRow.precedes)) {
            #expect(row.vector.values.map(\.bitPattern) == face.vector.values.map(\.bitPattern))
        }
        for face in rows { #expect(segment.row(of: face.id).map(segment.id) == face.id) }
        #expect(segment.row(of: FaceID(.random(using: &generator))) == nil)
        #expect((segment.firstLSN, segment.lastLSN) == (LogIndex(1), LogIndex(UInt64(count))))
        #expect(segment.fileBytes == disk.contents(path)?.count)
    }
}

@Test private func everyRecordComesBackBitForBit() {
    var generator = Seeded(5)
    for _ in 0..<2_000 {
        let record = generator.record()
        let bytes = FaceRecordCodec.encode(record)
        #expect(FaceRecordCodec.decode(bytes).map(FaceRecordCodec.encode) == bytes)
        #expect(FaceRecordCodec.decode(bytes) == record)
        for length in 0..<bytes.count { #expect(FaceRecordCodec.decode(Array(bytes.prefix(length))) == nil) }
        #expect(FaceRecordCodec.decode(bytes + [0]) == nil)
    }
    for _ in 0..<5_000 {
        // Garbage decodes to nothing, or to a record whose bytes these are.
        let garbage = [UInt8(1), UInt8(generator.next() % 5)] + generator.bytes(Int(generator.next() % 150))
        if let record = FaceRecordCodec.decode(garbage) { #expect(FaceRecordCodec.encode(record) == garbage) }
    }
}

@Test private func aFlippedBitAnywhereIsRefused() throws {
    var generator = Seeded(6)
    let (disk, _) = try made(generator.rows(9, leaves: 2))
    let whole = try #require(disk.contents(path))
    for position in whole.indices {
        var bytes = whole
        bytes[position] ^= 1 << UInt8(generator.next() % 8)
        disk.place(bytes, at: path)
        #expect(throws: SegmentError.self, "byte \(position) of \(whole.count)") { try reopened(disk) }
        // Without a manifest's word for it, the file alone must do.
        #expect(throws: SegmentError.self, "byte \(position), no manifest") {
            try Segment.open(path, identity: identity(), number: 1, footerChecksum: nil, on: disk)
        }
    }
}

@Test private func aFileOfAnyOtherLengthIsRefused() throws {
    var generator = Seeded(7)
    let (disk, _) = try made(generator.rows(5))
    let whole = try #require(disk.contents(path))
    for length in 0..<whole.count {
        disk.place(Array(whole.prefix(length)), at: path)
        #expect(throws: SegmentError.self, "\(length) bytes") { try reopened(disk) }
    }
    disk.place(whole + [0], at: path)
    #expect(throws: SegmentError.self) { try reopened(disk) }
    for _ in 0..<300 {
        disk.place(generator.bytes(Int(generator.next() % 2_000)), at: path)
        #expect(throws: SegmentError.self) { try reopened(disk) }
    }
    disk.remove(quietly: path)
    #expect(throws: SegmentError.missing(path: path)) { try reopened(disk) }
}

/// The file with its columns changed, and every checksum above them made to hold again.
private func rebuilt(
    _ bytes: [UInt8], header change: (inout [UInt8]) -> Void = { _ in }, adding extra: [UInt16] = [],
    column edit: (inout [UInt8], ColumnKind) -> Void = { _, _ in }
) throws -> [UInt8] {
    var header = Array(bytes.prefix(SegmentHeader.bytes))
    change(&header)
    header = sealed(header.dropLast(4))
    let trailer = try #require(SegmentTrailer.decode(bytes.suffix(SegmentTrailer.bytes)))
    let footer = try #require(
        SegmentFooter.decode(Array(bytes[trailer.footerOffset..<trailer.footerOffset + trailer.footerBytes])))
    var file = header
    var places: [ColumnPlace] = []
    func add(_ column: [UInt8], _ place: ColumnPlace) {
        let head = sealed(Array(column.prefix(ColumnHeader.bytes - 4)))
        var place = place
        place.offset = file.count
        place.bytes = column.count
        place.headerChecksum = lastWord(head)
        places.append(place)
        file += head + column.dropFirst(ColumnHeader.bytes)
    }
    for place in footer.columns {
        var column = Array(bytes[place.offset..<place.offset + place.bytes])
        edit(&column, place.kind)
        add(column, place)
        for code in extra {
            var other = column
            other[0] = UInt8(truncatingIfNeeded: code)
            other[1] = UInt8(code >> 8)
            var unknown = place
            unknown.kind = ColumnKind(code: code)
            add(other, unknown)
        }
    }
    let end = SegmentFooter(headerChecksum: lastWord(header), columns: places).encoded()
    return file + end
        + SegmentTrailer(
            footerOffset: file.count, fileBytes: file.count + end.count + SegmentTrailer.bytes,
            footerBytes: end.count, footerChecksum: checksum(end[...])
        ).encoded()
}

private func opened(_ bytes: [UInt8]) throws -> Segment {
    let disk = ForgetfulDisk()
    disk.place(bytes, at: path)
    return try Segment.open(path, identity: identity(), number: 1, footerChecksum: nil, on: disk)
}

@Test private func unknownKindsAreSteppedOverUnlessRequired() throws {
    var generator = Seeded(8)
    let rows = generator.rows(300, leaves: 2)
    let (disk, _) = try made(rows)
    let bytes = try #require(disk.contents(path))
    #expect(try rebuilt(bytes) == bytes)
    let more = try opened(rebuilt(bytes, adding: [2, 77]))
    #expect(try faces(more) == rows.sorted(by: SegmentRow.precedes))
    #expect(throws: SegmentError.newerFormat(path: path, found: 0x8007, supported: 6)) {
        try opened(rebuilt(bytes, adding: [0x8007]))
    }
}

@Test private func newerAndForeignFilesAreRefusedByName() throws {
    var generator = Seeded(9)
    let (disk, _) = try made(generator.rows(3))
    let bytes = try #require(disk.contents(path))
    #expect(throws: SegmentError.newerFormat(path: path, found: 2, supported: 1)) {
        try opened(rebuilt(bytes, header: { $0[8] = 2 }))
    }
    #expect(throws: SegmentError.damaged(path: path, offset: 0, block: nil, reason: "file header")) {
        try opened(rebuilt(bytes, header: { $0[8] = 0 }))
    }
    #expect(throws: SegmentError.wrongIdentity(path: path, field: "shard")) {
        try Segment.open(path, identity: identity(shard: 4), number: 1, footerChecksum: nil, on: disk)
    }
    #expect(throws: SegmentError.wrongIdentity(path: path, field: "dimension")) {
        try Segment.open(path, identity: identity(dimension: 72), number: 1, footerChecksum: nil, on: disk)
    }
    #expect(throws: SegmentError.wrongIdentity(path: path, field: "segment number")) {
        try Segment.open(path, identity: identity(), number: 2, footerChecksum: nil, on: disk)
    }
}

/// Every checksum holds and yet the contents do not: no trap, and nothing wrong is answered.
@Test private func contentsThatCannotBeAreRefused() throws {
    var generator = Seeded(10)
    let rows = generator.rows(40)
    let (disk, _) = try made(rows)
    let bytes = try #require(disk.contents(path))
    for field in [4, 8, 12, 16, 20, 24, 32] {
        for kind in [ColumnKind.ids, .vectors, .records] {
            let changed = try rebuilt(
                bytes,
                column: { column, found in
                    if found == kind { column[field] ^= 1 }
                })
            if field == 16, kind != .vectors {
                // One block holds all rows whether it may hold 256 or 257: the same contents.
                #expect(try faces(opened(changed)) == rows.sorted(by: SegmentRow.precedes))
            } else {
                #expect(throws: SegmentError.self, "field \(field) of kind \(kind.code)") { try opened(changed) }
            }
        }
    }
    for field in [80, 88, 89, 96] {
        #expect(throws: SegmentError.self, "header field \(field)") {
            try opened(rebuilt(bytes, header: { $0[field] ^= 0x40 }))
        }
    }
}

@Test private func aRecordBlockThatChangesInMemoryIsNotAnsweredFrom() throws {
    var generator = Seeded(11)
    let (disk, segment) = try made(generator.rows(600))
    let whole = try #require(disk.contents(path))
    #expect(whole.count == segment.fileBytes)
    let entry = BlockEntry(codec: .raw, storedBytes: 4, rawBytes: 4, checksum: 1)
    let bad = Segment(
        path: path,
        header: SegmentHeader(identity: identity(), number: 1, rows: 1, firstLSN: LogIndex(1), lastLSN: LogIndex(1)),
        fileBytes: 1, ids: [segment.id(0)], leaves: [Segment.LeafRows(leaf: .root, rows: 0..<1)],
        vectors: AlignedFloats(count: 64),
        recordBlocks: [
            Segment.RecordBlock(firstRow: 0, rows: 1, entry: entry, stored: [1, 0, 0, 0], offset: 99, block: 0)
        ])
    #expect(throws: SegmentError.damaged(path: path, offset: 99, block: 0, reason: "block checksum")) {
        try bad.record(0)
    }
}
