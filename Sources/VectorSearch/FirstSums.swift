/// What the first planes of a search's parts sum up to for its one query, kept from the pass ahead to the one that
/// answers.
// Safe because a part's sums are written by the one thread that passes ahead over it, and read after that pass has
// ended.
package final class FirstSums: @unchecked Sendable {
    /// How many of the first parts are passed ahead over; 0 where that is not worth it.
    package let parts: Int
    private let starts: [Int]
    private let memory: AlignedMemory

    /// `rooms` says how many sums each part keeps at most, `rows` how many rows all of them have. Several queries share
    /// a pass and make none ahead: what they send on is read from cache, and many of them want it.
    package init(
        rooms: [Int], rows: Int, queries: [PreparedQuery], minScores: [Float], rowsMin: Int = ScanPass.rowsMin
    ) {
        var (starts, end): ([Int], Int) = ([], 0)
        if queries.count == 1, rows >= rowsMin, ScanPass.isWorth(queries[0], minScore: minScores[0]) {
            for room in rooms {
                guard end + room <= ScanPass.rowsMax else { break }
                starts.append(end)
                end += room
            }
        }
        self.starts = starts
        parts = starts.count
        memory = AlignedMemory(bytes: end * MemoryLayout<UInt16>.stride)
    }

    /// How a part is to be scanned in the pass that answers or, if it is among the first `parts`, ahead.
    package func pass(_ part: Int, isAhead: Bool) -> ScanPass {
        guard part < parts else { return .only }
        let sums = memory.base.assumingMemoryBound(to: UInt16.self) + starts[part]
        return isAhead ? .ahead(keeping: sums) : .answer(sums: sums)
    }
}
