package import FaceModel

/// A scored row: the match and where its record can be found.
package struct ScoredRow: Hashable, Sendable {
    package var match: Match
    package var locator: RowLocator
    package init(match: Match, locator: RowLocator) {
        self.match = match
        self.locator = locator
    }
}

/// The best `limit` matches at or above a score, in bounded memory.
///
/// Threshold first: `bound` is what a score must reach to have a chance, so that a scan can dismiss whole blocks before
/// it looks at ids (the shape of FAISS's `ResultHandler`). A heap with the worst kept match at its root.
package struct TopK: Sendable {
    package let limit: Int
    package let minScore: Float
    private var heap: [ScoredRow] = []

    /// `limit` is 1...`Limits.candidatesMax` + 1, `minScore` inclusive and no NaN; else a programming error.
    package init(limit: Int, minScore: Float) {
        precondition((1...Limits.candidatesMax + 1).contains(limit), "a top-k's limit is bounded")
        precondition(!minScore.isNaN, "a threshold is a number")
        self.limit = limit
        self.minScore = minScore
    }

    package var count: Int { heap.count }

    /// The least score that may still enter; a score equal to it enters only by a smaller FaceID once `limit` are kept.
    package var bound: Float { heap.count < limit ? minScore : heap[0].match.score }

    /// Keeps the match if it is among the best `limit`; a score that is NaN never is.
    package mutating func insert(_ match: Match, at locator: RowLocator) {
        guard match.score >= minScore else { return }
        let row = ScoredRow(match: match, locator: locator)
        if heap.count < limit {
            heap.append(row)
            siftUp()
        } else if Match.precedes(match, heap[0].match) {
            heap[0] = row
            siftDown()
        }
    }

    /// Takes in what another scan of the same query kept.
    package mutating func merge(_ other: TopK) {
        for row in other.heap { insert(row.match, at: row.locator) }
    }

    /// In `Match.precedes` order.
    package func sorted() -> [ScoredRow] {
        heap.sorted { Match.precedes($0.match, $1.match) }
    }

    private mutating func siftUp() {
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard Match.precedes(heap[parent].match, heap[child].match) else { return }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var worst = parent
            for child in 2 * parent + 1...2 * parent + 2 where child < heap.count {
                if Match.precedes(heap[worst].match, heap[child].match) { worst = child }
            }
            guard worst != parent else { return }
            heap.swapAt(parent, worst)
            parent = worst
        }
    }
}
