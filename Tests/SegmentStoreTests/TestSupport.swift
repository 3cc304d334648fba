import FaceModel
import SegmentStore
import StorageIO
import Testing
import VectorSearch

/// SplitMix64: seeded, so that a failure repeats.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    mutating func float() -> Float { Float.random(in: -1...1, using: &self) }

    mutating func record() -> FaceRecord {
        let image = Bool.random(using: &self) ? ImageID(.random(using: &self)) : nil
        guard Bool.random(using: &self) else { return FaceRecord(imageID: image, detail: nil) }
        let detail = FaceDetail(
            box: BoundingBox(left: float(), top: -0.0, width: float(), height: .leastNonzeroMagnitude),
            landmarks: (0..<Int(next() % 7)).map { _ in Landmark(x: float(), y: float()) }, confidence: 99.5,
            quality: FaceQuality(brightness: float(), sharpness: float()),
            pose: FacePose(roll: float(), yaw: float(), pitch: float()))
        return FaceRecord(imageID: image, detail: detail)
    }

    mutating func vector(_ dimension: Int) -> RotatedVector {
        let values = (0..<dimension).map { _ in float() }
        let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return RotatedVector(rotated: values.map { $0 / norm })
    }

    mutating func rows(_ count: Int, dimension: Int = 64, leaves: UInt32 = 1) -> [SegmentRow] {
        (0..<count).map { _ in
            SegmentRow(
                id: FaceID(.random(using: &self)), leaf: LeafID(UInt32(next() % UInt64(leaves))),
                vector: vector(dimension), record: record())
        }
    }
}

func identity(dimension: Int = 64, shard: UInt64 = 3) -> SegmentIdentity {
    SegmentIdentity(
        tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 2)),
        shard: ShardID(Bits128(high: 0, low: shard)), dimension: dimension)
}

/// A replica's segments and what a search sees, driven as its writer thread would.
struct Replica {
    let store: SegmentStore
    var snapshot: SearchSnapshot
    private(set) var serial: UInt64 = 1
    private(set) var buffer: Buffer
    private var bufferRows: [FaceID: Int] = [:]

    init(_ files: any FileSystem, identity: SegmentIdentity = identity()) throws {
        store = try SegmentStore.open(directory: "/data/segments", identity: identity, on: files)
        snapshot = SearchSnapshot(dimension: identity.dimension)
        buffer = Buffer(serial: 1, dimension: identity.dimension)
        for segment in store.segments { snapshot.add(segment) }
        snapshot.show(buffer.view)
    }

    mutating func enrol(_ rows: [SegmentRow]) throws {
        for row in rows { bufferRows[row.id] = try buffer.append(row) }
        snapshot.show(buffer.view)
    }

    mutating func delete(_ face: FaceID) {
        if let row = bufferRows[face] {
            snapshot.markDead(at: RowLocator(source: .buffer(serial), row: row))
        }
        for view in snapshot.segments {
            guard let row = view.segment.row(of: face) else { continue }
            snapshot.markDead(at: RowLocator(source: .segment(view.segment.number), row: row))
        }
    }

    mutating func flush(through: UInt64) throws {
        let segment = try store.flush(snapshot.liveRows(buffer: serial), through: LogIndex(through))
        snapshot.replace(buffer: serial, with: segment)
        serial += 1
        buffer = Buffer(serial: serial, dimension: buffer.dimension)
        bufferRows = [:]
        snapshot.show(buffer.view)
    }

    /// False when no compaction is due.
    mutating func compact() throws -> Bool {
        guard let inputs = CompactionPlanner.plan(snapshot.weights()) else { return false }
        let merged = try store.beginCompaction(inputs, dead: { snapshot.dead(segment: $0) }).merge()
        try install(merged)
        return true
    }

    mutating func install(_ merged: MergedSegment) throws {
        try store.install(merged)
        snapshot.replace(segments: merged.inputs, with: merged.segment)
        try store.removeObsoleteFiles()
    }

    func search(
        _ query: RotatedVector, limit: Int, rowsPerPart: Int = 700, buckets: Set<LeafID>? = nil
    ) throws -> (matches: [ScoredRow], scored: Int) {
        var scratch = ScanScratch()
        var best = TopK(limit: limit, minScore: -1)
        var scored = 0
        for part in snapshot.parts(rowsPerPart: rowsPerPart, buckets: buckets) {
            var partial = [TopK(limit: limit, minScore: -1)]
            scored += try snapshot.scan(part, queries: [PreparedQuery(query)], into: &partial, scratch: &scratch)
            best.merge(partial[0])
        }
        #expect(try searchTwice(query, limit: limit, rowsPerPart: rowsPerPart, buckets: buckets) == best.sorted())
        return (best.sorted(), scored)
    }

    /// By a pass ahead over most parts, and one that answers with its bound.
    private func searchTwice(
        _ query: RotatedVector, limit: Int, rowsPerPart: Int, buckets: Set<LeafID>?
    ) throws -> [ScoredRow] {
        let prepared = PreparedQuery(query)
        var scratch = ScanScratch()
        let parts = snapshot.parts(rowsPerPart: rowsPerPart, buckets: buckets)
        let sums = parts.map { part in
            let memory = UnsafeMutablePointer<UInt16>.allocate(capacity: part.sumsMax + 1)
            memory.initialize(repeating: .max, count: part.sumsMax + 1)
            return memory
        }
        defer { for memory in sums { memory.deallocate() } }
        var ahead = TopK(limit: limit, minScore: -1)
        for (part, kept) in zip(parts, sums).dropLast() {
            _ = try snapshot.scan(part, query: prepared, into: &ahead, scratch: &scratch, pass: .ahead(keeping: kept))
            #expect(kept[part.sumsMax] == .max, "nothing is kept past the room")
        }
        var best = TopK(limit: limit, minScore: ahead.bound)
        for (at, (part, kept)) in zip(parts, sums).enumerated() {
            let pass: ScanPass = at < parts.count - 1 ? .answer(sums: kept) : .only
            _ = try snapshot.scan(part, query: prepared, into: &best, scratch: &scratch, pass: pass)
        }
        return best.sorted()
    }
}

/// Every live face by id, read back from segments and buffer through the snapshot.
func contents(_ snapshot: SearchSnapshot) throws -> [FaceID: SegmentRow] {
    var faces: [FaceID: SegmentRow] = [:]
    for view in snapshot.segments {
        for row in 0..<view.segment.count where !view.dead.contains(row) {
            let segment = view.segment
            let face = SegmentRow(
                id: segment.id(row), leaf: segment.leaf(row), vector: try segment.vector(row),
                record: try segment.record(row))
            #expect(faces.updateValue(face, forKey: face.id) == nil, "a face stands in two segments")
        }
    }
    return faces
}

func byID(_ rows: [SegmentRow]) -> [FaceID: SegmentRow] {
    Dictionary(rows.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
}
