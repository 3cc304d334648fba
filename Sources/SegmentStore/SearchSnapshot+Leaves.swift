package import FaceModel
package import VectorSearch

/// Rows of one source that were written under one leaf and stand one after another.
package struct LeafRun: Hashable, Sendable {
    package let leaf: LeafID
    package let source: RowSource
    package let rows: Range<Int>
}

extension SearchSnapshot {
    /// Rows by the leaf they were written under, dead ones included.
    package var leafRows: [LeafID: Int] {
        runs { _ in true }.reduce(into: [:]) { $0[$1.leaf, default: 0] += $1.rows.count }
    }

    /// The rows that were written under one of `leaves`, dead ones included.
    package func runs(of leaves: Set<LeafID>) -> [LeafRun] { runs(leaves.contains) }

    package func isDead(at locator: RowLocator) -> Bool {
        switch locator.source {
        case .segment(let number): dead(segment: number).contains(locator.row)
        case .buffer(let serial):
            buffers.contains { $0.view.serial == serial && $0.dead.contains(locator.row) }
        }
    }

    private func runs(_ wanted: (LeafID) -> Bool) -> [LeafRun] {
        var found: [LeafRun] = []
        for view in segments {
            let source = RowSource.segment(view.segment.number)
            for run in view.segment.leaves where wanted(run.leaf) {
                found.append(LeafRun(leaf: run.leaf, source: source, rows: run.rows))
            }
        }
        for buffer in buffers {
            let source = RowSource.buffer(buffer.view.serial)
            var start = 0
            while start < buffer.view.count {
                let leaf = buffer.view.leaf(start)
                var end = start + 1
                while end < buffer.view.count, buffer.view.leaf(end) == leaf { end += 1 }
                if wanted(leaf) { found.append(LeafRun(leaf: leaf, source: source, rows: start..<end)) }
                start = end
            }
        }
        return found
    }
}
