import FaceModel
import Foundation
import StorageIO
import Testing
import VectorSearch

@testable import SegmentStore

/// Segments whose later planes stay in their files answer as those that hold them do.
@Suite struct MappedPlanesTests {
    private let path = "/data/segments/segment-0000000000000001.seg"

    private func made(_ rows: [SegmentRow], dimension: Int) throws -> [UInt8] {
        let disk = ForgetfulDisk()
        let store = try SegmentStore.open(
            directory: "/data/segments", identity: identity(dimension: dimension), on: disk)
        _ = try store.flush(rows, through: LogIndex(1))
        return try #require(disk.contents(path))
    }

    private func opened(_ bytes: [UInt8], dimension: Int, mapsPlanes: Bool) throws -> Segment {
        let disk = ForgetfulDisk()
        disk.place(bytes, at: path)
        return try Segment.open(
            path, identity: identity(dimension: dimension), number: 1, footerChecksum: nil, mapsPlanes: mapsPlanes,
            on: disk)
    }

    private func search(_ snapshot: SearchSnapshot, _ query: RotatedVector) throws -> [ScoredRow] {
        var best = TopK(limit: 20, minScore: -1)
        var scratch = ScanScratch()
        for part in snapshot.parts(rowsPerPart: 3_000) {
            _ = try snapshot.scan(part, query: PreparedQuery(query), into: &best, scratch: &scratch)
        }
        return best.sorted()
    }

    private func search(_ segment: Segment, _ query: RotatedVector) throws -> [ScoredRow] {
        var snapshot = SearchSnapshot(dimension: segment.dimension)
        snapshot.add(segment)
        return try search(snapshot, query)
    }

    /// Columns of planes end at 16,384 rows: there are several of each kind, and their memory has no gaps.
    @Test(arguments: [(20_000, 136), (2_000, 512), (65, 512), (2_000, 256)])
    func answersAreThoseOfPlanesInMemory(_ count: Int, _ dimension: Int) throws {
        var generator = Seeded(UInt64(count + dimension))
        let rows = generator.rows(count, dimension: dimension, leaves: 3)
        let bytes = try made(rows, dimension: dimension)
        let inMemory = try opened(bytes, dimension: dimension, mapsPlanes: false)
        let mapped = try opened(bytes, dimension: dimension, mapsPlanes: true)
        #expect(inMemory.mappedBytes == 0 && mapped.mappedBytes > 0)
        #expect(mapped.residentBytes < inMemory.residentBytes)
        for query in [rows[0].vector, rows[count / 2].vector, rows[count - 1].vector, generator.vector(dimension)] {
            let found = try search(mapped, query)
            #expect(try search(inMemory, query) == found && found.count == 20)
        }
    }

    /// The bar of the design: 110 B, tombstones and what the system rounds up included.
    @Test func aFaceTakesAHundredBytesOfItsOwn() throws {
        var generator = Seeded(21)
        let bytes = try made(generator.rows(4_096, dimension: 512), dimension: 512)
        let segment = try opened(bytes, dimension: 512, mapsPlanes: true)
        #expect((88...100).contains(Double(segment.residentBytes) / 4_096), "\(segment.residentBytes)")
        #expect((208...216).contains(Double(segment.mappedBytes) / 4_096), "\(segment.mappedBytes)")
    }

    @Test func aDamagedColumnIsFoundWhenItIsOpened() throws {
        var generator = Seeded(22)
        let whole = try made(generator.rows(130, dimension: 512), dimension: 512)
        let later = try places(whole).filter { [3, 4, 7, 8, 9].contains($0.kind.code) }
        #expect(Set(later.map(\.kind.code)).count == 5)
        for place in later {
            for position in stride(from: place.offset, to: place.offset + place.bytes, by: 251) {
                var bytes = whole
                bytes[position] ^= 1 << UInt8(generator.next() % 8)
                #expect(throws: SegmentError.self, "kind \(place.kind.code), byte \(position)") {
                    try opened(bytes, dimension: 512, mapsPlanes: true)
                }
            }
        }
    }

    /// Files from before there was padding, and files whose planes are made anew, are held in memory.
    @Test func filesThatCannotBeMappedAreRead() throws {
        var generator = Seeded(23)
        let rows = generator.rows(700, dimension: 512, leaves: 2)
        let bytes = try made(rows, dimension: 512)
        let good = try opened(bytes, dimension: 512, mapsPlanes: false)
        for other in [try rebuilt(bytes, adding: [77]), try rebuilt(bytes, header: { $0[112] = 9 })] {
            let segment = try opened(other, dimension: 512, mapsPlanes: true)
            #expect(segment.mappedBytes == 0 && segment.residentBytes >= good.residentBytes)
            #expect(try search(segment, rows[3].vector) == search(good, rows[3].vector))
        }
        let folder = String(#filePath.dropLast("MappedPlanesTests.swift".count)) + "testdata/"
        let old = try AtomicFile.read(folder + "format-1.seg", on: POSIXFileSystem(), limit: 1 << 20)
        let query = generator.vector(64)
        let mapped = try opened(old, dimension: 64, mapsPlanes: true)
        #expect(try search(mapped, query) == search(opened(old, dimension: 64, mapsPlanes: false), query))
    }

    /// On the machine's disk: a search goes on in the old segments when a merge has removed their files.
    @Test func aMergeLeavesWhatASearchHolds() throws {
        let root = NSTemporaryDirectory() + "facet-mapped-\(ProcessInfo.processInfo.globallyUniqueString)"
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let store = try SegmentStore.open(
            directory: root, identity: identity(dimension: 512), mapsPlanes: true, on: POSIXFileSystem())
        var generator = Seeded(24)
        let rows = generator.rows(1_500, dimension: 512)
        var snapshot = SearchSnapshot(dimension: 512)
        for part in 0..<3 {
            let some = Array(rows[part * 500..<part * 500 + 500])
            snapshot.add(try #require(try store.flush(some, through: LogIndex(UInt64(part + 1)))))
        }
        let (held, dead) = (snapshot, rows[7].id)
        let before = try search(held, rows[8].vector)
        for view in snapshot.segments {
            guard let row = view.segment.row(of: dead) else { continue }
            snapshot.markDead(at: RowLocator(source: .segment(view.segment.number), row: row))
        }
        let merged = try store.beginCompaction([1, 2, 3], dead: { snapshot.dead(segment: $0) }).merge()
        try store.install(merged)
        snapshot.replace(segments: [1, 2, 3], with: merged.segment)
        try store.removeObsoleteFiles()
        #expect(try POSIXFileSystem().list(root).filter { $0.hasPrefix("segment") }.count == 1)

        #expect(try search(held, rows[8].vector) == before)
        #expect(try search(held, rows[7].vector).first?.match.face == dead)
        #expect(snapshot.mappedBytes > 0)
        let after = try search(snapshot, rows[8].vector)
        #expect(after.first?.match == before.first?.match && !after.map(\.match.face).contains(dead))
    }
}
