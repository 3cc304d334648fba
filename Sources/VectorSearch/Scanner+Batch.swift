import CVectorKernels

// Several queries together: the first planes are added up for four of them at a time, from cache. Where a query leaves
// many rows, reading the next planes row by row would cost it more than adding those up for every row too, once they
// are turned into columns, which all queries share.
extension BlockScan {
    /// A query whose first planes leave more than one row of so many has the next planes added up for every row.
    /// Measured at 512 dimensions in cache: 11 ns a row that is left, 1.5 ns a row for every row.
    private static var rowsPerSurvivor: Int { 7 }
    /// Queries that turning the rows is worth: it takes 4.5 ns a row, once.
    private static var queriesForColumns: Int { 4 }
    private static var tilesJudgedBy: Int { 4 }

    /// The rows of `tiles` that every stage leaves, for each of `usable`, which number `queries`.
    func scoreSurvivors(
        of planes: PlaneBlock, _ tiles: Range<Int>, _ queries: [PreparedQuery], _ usable: [Int],
        into tops: inout [TopK], _ scratch: inout ScanScratch
    ) throws(Failure) {
        let first = planes.code.first
        let mayTurn = usable.count >= Self.queriesForColumns && !planes.code.later.isEmpty
        var columns: UnsafeMutablePointer<UInt8>?
        var start = 0
        while start < usable.count {
            let some = usable[start..<min(start + ScanScratch.queriesPerCall, usable.count)]
            start = some.endIndex
            for (at, number) in some.enumerated() {
                scratch.tables[at] = queries[number].planes.tables
                scratch.into[at] = scratch.rowSums(at)
            }
            planes.sum(scratch.tables, some.count, tile: tiles.lowerBound, count: tiles.count, into: scratch.into)
            var many = 0
            for (at, number) in some.enumerated() {
                let sums = scratch.rowSums(at)
                // Of the query no more than numbers: threads that count references to one object wait for each other.
                let limit = queries[number].planes.bounds.limit(tops[number].bound, planes: first)
                if mayTurn, leavesMany(planes, tiles, scratch.tables + at, sums, limit: limit, scratch) {
                    scratch.later[many] = LaterQuery(number: number, sums: sums)
                    many += 1
                    continue
                }
                try goOn(planes, tiles, queries[number], scratch.tables + at, sums, into: &tops[number], &scratch)
            }
            guard many > 0 else { continue }
            if columns == nil {
                let turned = scratch.columns(planes.code)
                planes.turn(tile: tiles.lowerBound, count: tiles.count, into: turned)
                columns = turned
            }
            if let columns { try scoreByColumns(columns, planes, tiles, queries, many, into: &tops, &scratch) }
        }
    }

    /// Judged by the first few tiles.
    private func leavesMany(
        _ planes: PlaneBlock, _ tiles: Range<Int>, _ tables: UnsafePointer<facet_plane_query>,
        _ rowSums: UnsafePointer<UInt16>, limit: facet_plane_limit, _ scratch: borrowing ScanScratch
    ) -> Bool {
        let count = min(Self.tilesJudgedBy, tiles.count)
        let found = planes.select(
            tables, rowSums, tile: tiles.lowerBound, count: count, limit: limit, positions: scratch.positions,
            sums: scratch.sums)
        return found * Self.rowsPerSurvivor > count * PlaneCode.tileRows
    }

    /// A query that leaves few rows: they are read one by one.
    private func goOn(
        _ planes: PlaneBlock, _ tiles: Range<Int>, _ query: PreparedQuery,
        _ tables: UnsafePointer<facet_plane_query>, _ rowSums: UnsafePointer<UInt16>, into best: inout TopK,
        _ scratch: inout ScanScratch
    ) throws(Failure) {
        let bound = best.bound
        let found = planes.select(
            tables, rowSums, tile: tiles.lowerBound, count: tiles.count,
            limit: query.planes.bounds.limit(bound, planes: planes.code.first), positions: scratch.positions,
            sums: scratch.sums)
        scratch.counts.count(scanned: tiles.count * PlaneCode.tileRows, left: found)
        guard found > 0 else { return }
        try finish(
            planes, tiles, query, Survivors(found: found, stages: 0), bound: bound, isHasty: false, into: &best,
            &scratch)
    }

    /// Goes on with the first `count` queries of `scratch.later`, whose sums of the first planes are there.
    private func scoreByColumns(
        _ columns: UnsafeMutablePointer<UInt8>, _ planes: PlaneBlock, _ tiles: Range<Int>, _ queries: [PreparedQuery],
        _ count: Int, into tops: inout [TopK], _ scratch: inout ScanScratch
    ) throws(Failure) {
        let code = planes.code
        let (added, prefix) = (Int32(code.later[0]), code.prefix(stages: 1))
        for at in 0..<count {
            scratch.tables[at] = queries[scratch.later[at].number].planes.tables
            scratch.into[at] = scratch.later[at].sums
        }
        facet_plane_sums(scratch.tables, count, columns, code.columnBytes, tiles.count, added, 1, scratch.into)
        let factors = columns + code.columnBytes - Int(FACET_TILE_FACTOR_BYTES)
        for at in 0..<count {
            let (number, rowSums) = (scratch.later[at].number, scratch.later[at].sums)
            let (query, bound) = (queries[number], tops[number].bound)
            var limit = query.planes.bounds.limit(bound, planes: prefix)
            let found = facet_plane_select(
                scratch.tables + at, rowSums, factors, code.columnBytes, tiles.count, Int32(prefix), &limit,
                scratch.positions, scratch.sums)
            // The next planes of every row were read.
            let rows = tiles.count * PlaneCode.tileRows
            scratch.counts.count(scanned: rows, left: rows)
            scratch.counts.count(stage: 1, left: found)
            guard found > 0 else { continue }
            try finish(
                planes, tiles, query, Survivors(found: found, stages: 1), bound: bound, isHasty: false,
                into: &tops[number], &scratch)
        }
    }
}
