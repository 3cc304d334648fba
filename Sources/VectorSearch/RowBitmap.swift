/// A set of rows, one bit each; a value, copied only when a shared one is changed. Rows never marked cost nothing.
package struct RowBitmap: Hashable, Sendable {
    private var words: [UInt64] = []
    /// Rows in the set.
    package private(set) var count = 0

    package init() {}

    package func contains(_ row: Int) -> Bool {
        let word = row >> 6
        return word < words.count && words[word] >> UInt64(row & 63) & 1 == 1
    }

    /// False when the row was there.
    @discardableResult
    package mutating func insert(_ row: Int) -> Bool {
        precondition(row >= 0, "rows count from 0")
        guard !contains(row) else { return false }
        if row >> 6 >= words.count {
            words.append(contentsOf: repeatElement(0, count: (row >> 6) + 1 - words.count))
        }
        words[row >> 6] |= 1 << UInt64(row & 63)
        count += 1
        return true
    }

    /// Rows of the set within `range`.
    package func count(in range: Range<Int>) -> Int {
        guard count > 0 else { return 0 }
        var found = 0
        var row = range.lowerBound
        let end = min(range.upperBound, words.count << 6)
        while row < end {
            let next = min((row >> 6 + 1) << 6, end)
            let mask = (UInt64.max << UInt64(row & 63)) & (UInt64.max >> UInt64(63 - (next - 1) & 63))
            found += (words[row >> 6] & mask).nonzeroBitCount
            row = next
        }
        return found
    }

    /// Rising.
    package var rows: [Int] {
        words.enumerated().flatMap { at, word in
            (0..<64).filter { word >> UInt64($0) & 1 == 1 }.map { at << 6 + $0 }
        }
    }
}
