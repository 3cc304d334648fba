import FaceModel
import Foundation
import VectorSearch

/// Rotated faces in memory with their planes, as a segment holds them, and probes.
// Safe because everything is written before the collection is handed on.
final class BenchCollection: @unchecked Sendable {
    let dimension: Int
    let count: Int
    let rows: UnsafeMutablePointer<Float>
    let ids: UnsafeMutablePointer<FaceID>
    let probes: [RotatedVector]
    let planes: PlaneBlock
    let encodeNanoseconds: Double

    init(dimension: Int, blocks: Int, probes probeCount: Int) throws {
        self.dimension = dimension
        count = blocks * FaceGenerator.blockRows
        let bytes = count * dimension * MemoryLayout<Float>.stride
        let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 2 << 20)
        _ = madvise(raw, bytes, MADV_HUGEPAGE)
        rows = raw.bindMemory(to: Float.self, capacity: count * dimension)
        ids = .allocate(capacity: count)
        var bits = Bits(state: 99)
        for row in 0..<count { (ids + row).initialize(to: FaceID(Bits128(high: bits.next(), low: bits.next()))) }
        probes = try Self.fill(dimension: dimension, rows: rows, blocks: blocks, probes: probeCount)
        let start = ContinuousClock.now
        planes = PlaneBlock(code: PlaneCode(dimension: dimension), encoding: rows, count: count)
        encodeNanoseconds = nanoseconds(since: start) / Double(count)
    }

    deinit {
        UnsafeMutableRawPointer(rows).deallocate()
        ids.deallocate()
    }

    /// Probes are taken evenly from the blocks; where more are wanted than there are blocks, from blocks beyond the
    /// collection: those have no mate in it.
    private static func fill(
        dimension: Int, rows: UnsafeMutablePointer<Float>, blocks: Int, probes: Int
    ) throws -> [RotatedVector] {
        let generator = FaceGenerator(dimension: dimension)
        let rotation = try Rotation(dimension: dimension, seed: (0..<32).map { UInt8($0) })
        let target = Results<RotatedVector?>(repeating: nil, count: max(blocks, probes))
        let base = Shared(rows)
        DispatchQueue.concurrentPerform(iterations: max(blocks, probes)) { number in
            let made = generator.block(number)
            target[number] = rotated(made.probe[...], rotation)
            guard number < blocks else { return }
            for row in 0..<FaceGenerator.blockRows {
                let face = rotated(made.rows[row * dimension..<(row + 1) * dimension], rotation)
                let start = (number * FaceGenerator.blockRows + row) * dimension
                for (index, value) in face.values.enumerated() { base.value[start + index] = value }
            }
        }
        let stride = max(1, blocks / probes)
        return (0..<probes).compactMap { target[$0 * stride] }
    }

    private static func rotated(_ values: ArraySlice<Float>, _ rotation: Rotation) -> RotatedVector {
        do {
            return try rotation.rotate(Embedding(Array(values)))
        } catch {
            preconditionFailure("the generator makes unit vectors: \(error)")
        }
    }

    /// One whole search on this thread, as the scan pool makes it: part by part, each with the bound so far.
    func search(
        _ query: PreparedQuery, limit: Int, minScore: Float, byPlanes: Bool, _ scratch: inout ScanScratch
    ) -> [ScoredRow] {
        let rowsPerPart = 16_384
        var best = TopK(limit: limit, minScore: minScore)
        for start in stride(from: 0, to: count, by: rowsPerPart) {
            var part = TopK(limit: limit, minScore: best.bound)
            let block = RowBlock(
                rows: rows + start * dimension, ids: ids + start, count: min(rowsPerPart, count - start),
                source: .segment(1), firstRow: start, planes: byPlanes ? planes : nil, firstPlaneRow: start)
            _ = scan(block, dead: RowBitmap(), query: query, into: &part, scratch: &scratch)
            best.merge(part)
        }
        return best.sorted()
    }

    /// Rows, then probes, as raw floats: what the peers are measured on.
    func write(to folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let bytes = count * dimension * MemoryLayout<Float>.stride
        try Data(bytesNoCopy: rows, count: bytes, deallocator: .none)
            .write(to: URL(filePath: "\(folder)/rows-\(dimension).f32"))
        let flat = probes.flatMap(\.values)
        try flat.withUnsafeBytes { Data($0) }.write(to: URL(filePath: "\(folder)/probes-\(dimension).f32"))
    }
}

/// A pointer that threads share, each writing a place of its own.
// Safe because no two threads write one place.
struct Shared<Value>: @unchecked Sendable {
    let value: UnsafeMutablePointer<Value>
    init(_ value: UnsafeMutablePointer<Value>) { self.value = value }
}

/// One result a thread's task.
// Safe because every index is written by one task and read after all have ended.
final class Results<Value>: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Value>
    private let count: Int

    init(repeating value: Value, count: Int) {
        base = .allocate(capacity: count)
        base.initialize(repeating: value, count: count)
        self.count = count
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    subscript(index: Int) -> Value {
        get { base[index] }
        set { base[index] = newValue }
    }
}

func nanoseconds(since start: ContinuousClock.Instant) -> Double {
    let (seconds, attoseconds) = start.duration(to: .now).components
    return Double(seconds) * 1e9 + Double(attoseconds) * 1e-9
}
