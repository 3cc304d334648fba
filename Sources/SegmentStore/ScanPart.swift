import FaceModel
package import VectorSearch

/// Rows of one source that one thread scans at a time.
package struct ScanPart: Hashable, Sendable {
    package let source: RowSource
    /// Rising, apart from each other.
    package let runs: [Range<Int>]
    /// The leaves whose rows are meant where rows stand in no order of leaves, as in a buffer; nil for every row.
    let leaves: LeafSelection?

    package var rows: Int { runs.reduce(0) { $0 + $1.count } }

    /// Room for what a pass ahead keeps of the part: of whole tiles, at both ends of a run too.
    package var sumsMax: Int {
        runs.reduce(0) { $0 + ($1.count / PlaneCode.tileRows + 2) * PlaneCode.tileRows }
    }

    /// `runs`, rising and apart, cut and gathered so that a part has at most `rowsPerPart` rows.
    static func cut(
        _ runs: [Range<Int>], of source: RowSource, leaves: LeafSelection?, rowsPerPart: Int
    ) -> [ScanPart] {
        var parts: [ScanPart] = []
        var (gathered, room): ([Range<Int>], Int) = ([], rowsPerPart)
        for run in runs {
            var start = run.lowerBound
            while start < run.upperBound {
                let some = start..<min(start + room, run.upperBound)
                gathered.append(some)
                room -= some.count
                start = some.upperBound
                guard room == 0 else { continue }
                parts.append(ScanPart(source: source, runs: gathered, leaves: leaves))
                (gathered, room) = ([], rowsPerPart)
            }
        }
        if !gathered.isEmpty { parts.append(ScanPart(source: source, runs: gathered, leaves: leaves)) }
        return parts
    }
}

/// Leaves whose rows are searched.
struct LeafSelection: Hashable, Sendable {
    /// Rising.
    private let leaves: [LeafID]

    init(_ leaves: Set<LeafID>) { self.leaves = leaves.sorted() }

    func contains(_ leaf: LeafID) -> Bool {
        let at = leaves.partitionPoint { $0 >= leaf }
        return at < leaves.count && leaves[at] == leaf
    }

    /// The rows of these leaves among `all`, which rise; runs that touch are one.
    func runs(of all: [Segment.LeafRows]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for leaf in leaves {
            let at = all.partitionPoint { $0.leaf >= leaf }
            guard at < all.count, all[at].leaf == leaf else { continue }
            let rows = all[at].rows
            if let last = runs.last, last.upperBound == rows.lowerBound {
                runs[runs.count - 1] = last.lowerBound..<rows.upperBound
            } else {
                runs.append(rows)
            }
        }
        return runs
    }
}

extension Array {
    /// The first index for which `isPast` holds, `count` if none; once true it stays true.
    func partitionPoint(where isPast: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isPast(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
