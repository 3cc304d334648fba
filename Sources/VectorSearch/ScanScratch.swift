import CVectorKernels
import FaceModel

/// What one thread's scans write between kernel and top-k; kept from scan to scan, so that a scan allocates nothing.
package struct ScanScratch: ~Copyable {
    /// Rows a kernel call scores: their scores and positions stay in L1.
    static let rowsPerCall = 512
    /// Rows whose planes are scanned by one bound.
    static let tilesPerBound = 32
    /// The same where the bound is known from a pass ahead: the more rows are left at a time, the longer they are asked for
    /// before they are read.
    static let tilesPerAnswer = 128
    /// Queries of a batch whose planes are added up together.
    static let queriesPerCall = Int(FACET_PLANE_QUERIES_MAX)
    /// Rows that every query of a batch is compared with before the next ones: their first planes and those of the next
    /// stage (296 KB at 512 dimensions) stay in L2.
    static func tilesPerBatch(_ code: PlaneCode) -> Int {
        max(4, min(tilesPerBound, (320 << 10) / (code.tileBytes + code.columnBytes)))
    }
    /// Rows whose vectors are asked for together and then scored: enough for a disk to work at several, few enough that
    /// the bound rises before the next.
    package static let rowsPerRead = 8

    let scores: UnsafeMutablePointer<Float>
    let positions: UnsafeMutablePointer<UInt32>
    let sums: UnsafeMutablePointer<Int32>
    /// What the first planes of every row sum up to, for each query of a call: `queriesPerCall` times the rows of a
    /// bound.
    let rowSums: UnsafeMutablePointer<UInt16>
    let tables: UnsafeMutablePointer<facet_plane_query>
    let into: UnsafeMutablePointer<UnsafeMutablePointer<UInt16>?>
    /// The queries of a call that go on by columns.
    let later: UnsafeMutablePointer<LaterQuery>
    /// The second planes of a batch's rows, turned; made when a batch first needs them.
    private(set) var columns: AlignedMemory?
    let candidates: UnsafeMutablePointer<Candidate>
    /// Numbers within the source, and vectors, of the rows read last.
    let wanted: UnsafeMutablePointer<Int>
    let vectors: AlignedMemory
    /// Of every scan so far.
    package internal(set) var counts = PlaneCounts()

    package init() {
        let rows = Self.tilesPerAnswer * PlaneCode.tileRows
        scores = .allocate(capacity: Self.rowsPerCall)
        positions = .allocate(capacity: rows)
        sums = .allocate(capacity: rows)
        rowSums = .allocate(capacity: Self.tilesPerBound * PlaneCode.tileRows * Self.queriesPerCall)
        tables = .allocate(capacity: Self.queriesPerCall)
        into = .allocate(capacity: Self.queriesPerCall)
        later = .allocate(capacity: Self.queriesPerCall)
        candidates = .allocate(capacity: rows)
        wanted = .allocate(capacity: Self.rowsPerRead)
        let floats = Self.rowsPerRead * Limits.dimensionRange.upperBound
        vectors = AlignedMemory(bytes: floats * MemoryLayout<Float>.stride)
        vectors.base.bindMemory(to: Float.self, capacity: floats)
    }

    deinit {
        scores.deallocate()
        positions.deallocate()
        sums.deallocate()
        rowSums.deallocate()
        tables.deallocate()
        into.deallocate()
        later.deallocate()
        candidates.deallocate()
        wanted.deallocate()
    }

    /// Where the `query`th query of a call has its sums.
    func rowSums(_ query: Int) -> UnsafeMutablePointer<UInt16> {
        rowSums + query * Self.tilesPerBound * PlaneCode.tileRows
    }

    /// Room for the columns of a batch's tiles.
    mutating func columns(_ code: PlaneCode) -> UnsafeMutablePointer<UInt8> {
        let bytes = Self.tilesPerBatch(code) * code.columnBytes
        if let columns, columns.bytes >= bytes { return columns.base.assumingMemoryBound(to: UInt8.self) }
        let made = AlignedMemory(bytes: bytes)
        columns = made
        return made.base.bindMemory(to: UInt8.self, capacity: bytes)
    }
}

/// A query of a batch by its number, and what its first planes sum up to.
struct LaterQuery {
    var number: Int
    var sums: UnsafeMutablePointer<UInt16>
}

/// A row that all planes left, and what it may score at most.
struct Candidate {
    var ceiling: Float
    /// Within the block.
    var row: UInt32
}

/// Candidates by falling ceiling: a heap in memory that the scratch lends.
struct CandidateQueue {
    private let heap: UnsafeMutablePointer<Candidate>
    private(set) var count = 0

    init(_ memory: UnsafeMutablePointer<Candidate>) { heap = memory }

    mutating func add(_ candidate: Candidate) {
        var child = count
        count += 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[parent].ceiling < candidate.ceiling else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = candidate
    }

    /// Takes as many as `most`, the highest first, none whose ceiling is below `bound`; returns how many.
    mutating func take(_ most: Int, atLeast bound: Float, into rows: UnsafeMutablePointer<UInt32>) -> Int {
        var taken = 0
        while taken < most, count > 0, !(heap[0].ceiling < bound) {
            rows[taken] = heap[0].row
            taken += 1
            count -= 1
            sift(heap[count])
        }
        return taken
    }

    /// Puts `last` where the first one was.
    private func sift(_ last: Candidate) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < count else { break }
            if child + 1 < count, heap[child].ceiling < heap[child + 1].ceiling { child += 1 }
            guard last.ceiling < heap[child].ceiling else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = last
    }
}
