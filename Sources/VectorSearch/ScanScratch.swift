import FaceModel

/// What one thread's scans write between kernel and top-k; kept from scan to scan, so that a scan allocates nothing.
package struct ScanScratch: ~Copyable {
    /// Rows a kernel call scores: their scores and positions stay in L1.
    static let rowsPerCall = 512
    /// Rows whose planes are scanned by one bound, and by every query of a batch before the next ones: their first
    /// planes and factors (148 KiB at 512 dimensions) stay in L2.
    static let tilesPerBound = 32
    /// Rows whose vectors are asked for together and then scored: enough for a disk to work at several, few enough that
    /// the bound rises before the next.
    package static let rowsPerRead = 8

    let scores: UnsafeMutablePointer<Float>
    let positions: UnsafeMutablePointer<UInt32>
    let sums: UnsafeMutablePointer<Int32>
    let candidates: UnsafeMutablePointer<Candidate>
    /// Numbers within the source, and vectors, of the rows read last.
    let wanted: UnsafeMutablePointer<Int>
    let vectors: AlignedMemory
    /// Of every scan so far.
    package internal(set) var counts = PlaneCounts()

    package init() {
        let rows = Self.tilesPerBound * PlaneCode.tileRows
        scores = .allocate(capacity: rows)
        positions = .allocate(capacity: rows)
        sums = .allocate(capacity: rows)
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
        candidates.deallocate()
        wanted.deallocate()
    }
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
