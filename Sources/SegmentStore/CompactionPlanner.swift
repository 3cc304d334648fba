import FaceModel

/// What the compaction planner knows of a segment.
package struct SegmentWeight: Hashable, Sendable {
    package var number: UInt64
    package var rows: Int
    package var dead: Int
    /// Rows that stand under leaves which were split since.
    package var strayed: Int
    package init(number: UInt64, rows: Int, dead: Int, strayed: Int = 0) {
        self.number = number
        self.rows = rows
        self.dead = dead
        self.strayed = strayed
    }
    var live: Int { rows - dead }
}

/// Which segments to merge into one, decided from sizes alone.
package enum CompactionPlanner {
    /// A segment with more than a quarter of its rows dead is written anew.
    static let deadShare = 4
    /// A segment with more than half of its rows under leaves that were split is written anew: a search of their
    /// children reads all of them.
    static let strayedShare = 2
    /// So many segments of one size class are merged: classes grow by the same factor.
    static let fanIn = 4
    private static let smallestClassRows = 1_024

    /// The numbers to merge, rising, or nil when nothing is due. Their live rows fit one segment.
    ///
    /// Segments with too many dead rows come first, together; then those with too many rows under split leaves, together;
    /// then the smallest size class that is full (size-tiered, so that a row is written again only each time its segment
    /// grows fourfold).
    package static func plan(_ segments: [SegmentWeight]) -> [UInt64]? {
        let worn = fitting(segments.filter { $0.dead * deadShare > $0.rows })
        if !worn.isEmpty { return numbers(worn) }
        let strayed = fitting(segments.filter { $0.strayed * strayedShare > $0.rows })
        if !strayed.isEmpty { return numbers(strayed) }
        let classes = Dictionary(grouping: segments) { sizeClass($0.live) }
        for members in classes.sorted(by: { $0.key < $1.key }).map(\.value) where members.count >= fanIn {
            let chosen = fitting(members)
            if chosen.count > 1 { return numbers(chosen) }
        }
        return nil
    }

    private static func sizeClass(_ live: Int) -> Int {
        var (rows, result) = (smallestClassRows, 0)
        while rows < live {
            rows *= fanIn
            result += 1
        }
        return result
    }

    /// As many as fit one segment, the smallest first.
    private static func fitting(_ segments: [SegmentWeight]) -> [SegmentWeight] {
        var room = Limits.segmentFacesMax
        return segments.sorted { ($0.live, $0.number) < ($1.live, $1.number) }.prefix { segment in
            room -= segment.live
            return room >= 0
        }
    }

    private static func numbers(_ segments: [SegmentWeight]) -> [UInt64] { segments.map(\.number).sorted() }
}
