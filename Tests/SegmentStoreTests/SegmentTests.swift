import FaceModel
import StorageIO
import Testing
import VectorSearch

@testable import SegmentStore

private let directory = "/data/segments/"
private let path = directory + "segment-0000000000000001.seg"

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

/// Reads everything and searches, as a replica might.
private func use(_ segment: Segment) throws -> ([SegmentRow], [ScoredRow]) {
    var snapshot = SearchSnapshot(dimension: segment.dimension)
    snapshot.add(segment)
    let rows = try faces(segment)
    var tops = [TopK(limit: 5, minScore: -1)]
    var scratch = ScanScratch()
    for part in snapshot.parts(rowsPerPart: 100) {
        _ = try snapshot.scan(part, queries: [PreparedQuery(rows[0].vector)], into: &tops, scratch: &scratch)
    }
    return (rows, tops[0].sorted())
}

@Test(arguments: [64, 256, 512]) private func aFlippedBitAnywhereIsRefused(_ dimension: Int) throws {
    var generator = Seeded(6)
    let (disk, _) = try made(generator.rows(9, dimension: dimension, leaves: 2), dimension: dimension)
    let whole = try #require(disk.contents(path))
    // Each of the smallest file; of the others, where planes are in several columns, enough to meet them all.
    for position in stride(from: 0, to: whole.count, by: dimension == 64 ? 1 : 11) {
        var bytes = whole
        bytes[position] ^= 1 << UInt8(generator.next() % 8)
        disk.place(bytes, at: path)
        #expect(throws: SegmentError.self, "byte \(position) of \(whole.count)") {
            try use(reopened(disk, dimension: dimension))
        }
        // Without a manifest's word for it, the file alone must do.
        #expect(throws: SegmentError.self, "byte \(position), no manifest") {
            try use(
                Segment.open(
                    path, identity: identity(dimension: dimension), number: 1, footerChecksum: nil, on: disk))
        }
    }
}

/// What is read when it is asked for is checked every time: the bytes may go bad while the segment is open.
@Test private func bytesThatChangeUnderAnOpenSegmentAreNeverAnsweredFrom() throws {
    var generator = Seeded(11)
    let (disk, segment) = try made(generator.rows(120, leaves: 2))
    let good = try use(segment)
    for position in stride(from: 0, to: segment.fileBytes, by: 31) {
        disk.flip(path, at: position, mask: 0x10)
        do {
            // Bytes that stay in memory were read before; all others are noticed.
            let answer = try use(segment)
            #expect(answer.0 == good.0 && answer.1 == good.1, "byte \(position)")
        } catch let error as SegmentError {
            guard case .damaged(path, _, _, _) = error else {
                Issue.record("byte \(position): \(error)")
                return
            }
        }
        disk.flip(path, at: position, mask: 0x10)
    }
    let kinds = Set(try places(disk.contents(path) ?? []).map(\.kind.code))
    #expect(kinds == [1, 2, 5, 6])
}

/// Written by the version before this one: seed 1,001, 150 rows of 64 dimensions under three leaves.
@Test private func aFileOfFormatOneIsReadAndWrittenAnew() throws {
    let folder = String(#filePath.dropLast("SegmentTests.swift".count)) + "testdata/"
    let files = POSIXFileSystem()
    let old = try AtomicFile.read(folder + "format-1.seg", on: files, limit: 1 << 20)
    #expect(old[8] == 1)
    let disk = ForgetfulDisk()
    disk.place(old, at: path)
    disk.place(try AtomicFile.read(folder + "format-1.manifest", on: files, limit: 1 << 20), at: directory + "MANIFEST")
    var generator = Seeded(1_001)
    let rows = generator.rows(150, leaves: 3).sorted(by: SegmentRow.precedes)
    let read = try use(reopened(disk))
    #expect(read.0 == rows)

    let store = try SegmentStore.open(directory: "/data/segments", identity: identity(), on: disk)
    try store.install(store.beginCompaction([1], dead: { _ in RowBitmap() }).merge())
    try store.removeObsoleteFiles()
    let anew = try #require(disk.contents(directory + "segment-0000000000000002.seg"))
    #expect(anew[8] == 2)
    let again = try use(reopened(disk))
    #expect(again.0 == rows && again.1.map(\.match) == read.1.map(\.match))
    // And not one bit of it is taken on trust.
    for position in stride(from: 0, to: old.count, by: 23) {
        var bytes = old
        bytes[position] ^= 4
        #expect(throws: SegmentError.self, "byte \(position)") { try use(opened(bytes)) }
    }
}

/// Planes by rules of another version are not used, and those that are made give the same answers.
@Test private func planesOfOtherRulesAreMadeAnew() throws {
    var generator = Seeded(12)
    let (disk, _) = try made(generator.rows(700, dimension: 64, leaves: 4))
    let bytes = try #require(disk.contents(path))
    let good = try use(opened(bytes))
    let other = try rebuilt(
        bytes, header: { $0[112] = 9 },
        column: { column, kind in
            guard kind.section != nil else { return }
            // Planes that would find nobody; the checksums above hold.
            let table = ColumnHeader.bytes + Int(column[20]) * BlockEntry.bytes
            for index in table..<column.count { column[index] = 0 }
            for block in 0..<Int(column[20]) {
                let entry = ColumnHeader.bytes + block * BlockEntry.bytes
                let length = Int(lastWord(Array(column[entry..<entry + 4])) & 0xFFF_FFFF)
                let sum = checksum([UInt8](repeating: 0, count: length)[...])
                for byte in 0..<4 { column[entry + 8 + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * byte)) }
            }
            let sum = checksum(column[ColumnHeader.bytes..<table])
            for byte in 0..<4 { column[32 + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * byte)) }
        })
    let again = try use(opened(other))
    #expect(again.0 == good.0 && again.1 == good.1)
}

/// Of the places a footer lists.
func places(_ bytes: [UInt8]) throws -> [ColumnPlace] {
    let trailer = try #require(SegmentTrailer.decode(Array(bytes.suffix(SegmentTrailer.bytes))))
    return try #require(
        SegmentFooter.decode(Array(bytes[trailer.footerOffset..<trailer.footerOffset + trailer.footerBytes]))
    ).columns
}

@Test private func aFaceTakesThreeHundredBytesOfMemory() throws {
    var generator = Seeded(13)
    let (_, segment) = try made(generator.rows(4_096, dimension: 512), dimension: 512)
    let bytes = Double(segment.residentBytes) / 4_096
    #expect((296...316).contains(bytes), "\(bytes) B a face, 16 of them its id")
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
func rebuilt(
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
    let more = try opened(rebuilt(bytes, adding: [10, 77]))
    #expect(try faces(more) == rows.sorted(by: SegmentRow.precedes))
    #expect(throws: SegmentError.newerFormat(path: path, found: 0x8007, supported: 9)) {
        try opened(rebuilt(bytes, adding: [0x8007]))
    }
}

@Test private func newerAndForeignFilesAreRefusedByName() throws {
    var generator = Seeded(9)
    let (disk, _) = try made(generator.rows(3))
    let bytes = try #require(disk.contents(path))
    #expect(throws: SegmentError.newerFormat(path: path, found: 3, supported: 2)) {
        try opened(rebuilt(bytes, header: { $0[8] = 3 }))
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
        for kind in [ColumnKind.ids, .vectors, .records, .planes(.tiles)] {
            let changed = try rebuilt(
                bytes,
                column: { column, found in
                    if found == kind { column[field] ^= 1 }
                })
            if field == 16, kind == .ids || kind == .records {
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
