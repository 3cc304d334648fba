package import FaceModel
package import VectorSearch

/// Every live face of a replica at one moment: segments and buffers, each with its dead rows.
///
/// A value. The writer thread changes its own copy and publishes copies; a reader keeps one for as long as it scans,
/// and nothing it holds changes or is freed meanwhile. What is shared (segments, chunks, bitmaps) is copied only when
/// it is changed.
package struct SearchSnapshot: Sendable {
    package struct SegmentView: Sendable {
        package let segment: Segment
        package fileprivate(set) var dead: RowBitmap
    }

    struct DatedBuffer: Sendable {
        var view: BufferView
        var dead: RowBitmap
    }

    package let dimension: Int
    /// By rising segment number.
    package private(set) var segments: [SegmentView] = []
    /// By rising serial; more than one while a sealed buffer is being flushed.
    private(set) var buffers: [DatedBuffer] = []

    package init(dimension: Int) { self.dimension = dimension }

    // MARK: Changes, by the writer thread

    /// `dead` are rows deleted before; rows beyond the segment are a programming error.
    package mutating func add(_ segment: Segment, dead: RowBitmap = RowBitmap()) {
        precondition(dead.count(in: 0..<segment.count) == dead.count, "a dead row beyond its segment")
        segments.append(SegmentView(segment: segment, dead: dead))
        segments.sort { $0.segment.number < $1.segment.number }
    }

    /// Shows the buffer as far as `view` goes, keeping the rows of it marked dead before.
    package mutating func show(_ view: BufferView) {
        if let at = buffers.firstIndex(where: { $0.view.serial == view.serial }) {
            buffers[at].view = view
        } else {
            buffers.append(DatedBuffer(view: view, dead: RowBitmap()))
            buffers.sort { $0.view.serial < $1.view.serial }
        }
    }

    /// A deleted face's row is never offered again. False when it was dead; an unknown source is a programming error.
    @discardableResult
    package mutating func markDead(at locator: RowLocator) -> Bool {
        switch locator.source {
        case .segment(let number):
            let at = segmentIndex(number)
            precondition((0..<segments[at].segment.count).contains(locator.row), "a row beyond its segment")
            return segments[at].dead.insert(locator.row)
        case .buffer(let serial):
            let at = bufferIndex(serial)
            precondition((0..<buffers[at].view.count).contains(locator.row), "a row beyond its buffer")
            return buffers[at].dead.insert(locator.row)
        }
    }

    /// The buffer's rows are in `segment` now (nil when none was live); rows that died since the flush began stay dead.
    package mutating func replace(buffer serial: UInt64, with segment: Segment?) {
        let old = buffers.remove(at: bufferIndex(serial))
        let died = old.dead.rows.map { old.view.id($0) }
        if let segment { add(segment, dead: segment.rows(of: died)) }
    }

    /// The live rows of `inputs` are in `segment` now; rows that died since the merge was planned stay dead.
    package mutating func replace(segments inputs: [UInt64], with segment: Segment?) {
        var died: [FaceID] = []
        for number in inputs {
            let old = segments.remove(at: segmentIndex(number))
            died += old.dead.rows.map { old.segment.ids[$0] }
        }
        if let segment { add(segment, dead: segment.rows(of: died)) }
    }

    // MARK: Reading

    package var liveCount: Int {
        segments.reduce(0) { $0 + $1.segment.count - $1.dead.count }
            + buffers.reduce(0) { $0 + $1.view.count - $1.dead.count }
    }

    /// Rows of every buffer, dead ones included.
    package var bufferedCount: Int { buffers.reduce(0) { $0 + $1.view.count } }

    package var residentBytes: Int {
        segments.reduce(0) { $0 + $1.segment.residentBytes } + buffers.reduce(0) { $0 + $1.view.residentBytes }
    }

    /// Of segments whose planes are mapped; not resident.
    package var mappedBytes: Int { segments.reduce(0) { $0 + $1.segment.mappedBytes } }

    /// What `CompactionPlanner` decides by; `split` are the leaves that have children by now.
    package func weights(split: Set<LeafID> = []) -> [SegmentWeight] {
        segments.map {
            SegmentWeight(
                number: $0.segment.number, rows: $0.segment.count, dead: $0.dead.count,
                strayed: $0.segment.rows(under: split))
        }
    }

    package func dead(segment number: UInt64) -> RowBitmap { segments[segmentIndex(number)].dead }

    /// The live rows of a buffer, to flush.
    package func liveRows(buffer serial: UInt64) -> [SegmentRow] {
        let buffer = buffers[bufferIndex(serial)]
        return (0..<buffer.view.count).filter { !buffer.dead.contains($0) }.map { buffer.view.row($0) }
    }

    /// Where the faces among `wanted` stand that are live in a buffer; one pass over the buffers, whatever is wanted.
    package func bufferLocators(of wanted: Set<FaceID>) -> [FaceID: RowLocator] {
        var found: [FaceID: RowLocator] = [:]
        guard !wanted.isEmpty else { return found }
        for buffer in buffers {
            for row in 0..<buffer.view.count where wanted.contains(buffer.view.id(row)) && !buffer.dead.contains(row) {
                found[buffer.view.id(row)] = RowLocator(source: .buffer(buffer.view.serial), row: row)
            }
        }
        return found
    }

    package func id(at locator: RowLocator) -> FaceID {
        switch locator.source {
        case .segment(let number): segments[segmentIndex(number)].segment.ids[locator.row]
        case .buffer(let serial): buffers[bufferIndex(serial)].view.id(locator.row)
        }
    }

    /// Throws `damaged` when the vector's block fails its checksum.
    package func vector(at locator: RowLocator) throws(SegmentError) -> RotatedVector {
        switch locator.source {
        case .segment(let number): try segments[segmentIndex(number)].segment.vector(locator.row)
        case .buffer(let serial): buffers[bufferIndex(serial)].view.vector(locator.row)
        }
    }

    /// Throws `damaged` when the record's block fails its checksum.
    package func record(at locator: RowLocator) throws(SegmentError) -> FaceRecord {
        switch locator.source {
        case .segment(let number): try segments[segmentIndex(number)].segment.record(locator.row)
        case .buffer(let serial): buffers[bufferIndex(serial)].view.record(locator.row)
        }
    }

    // MARK: Scanning, by any thread

    /// All rows, cut so that several threads can share them; the order says nothing. With `buckets`, the rows that were
    /// written under one of these leaves and no others.
    package func parts(rowsPerPart: Int, buckets: Set<LeafID>? = nil) -> [ScanPart] {
        precondition(rowsPerPart > 0, "a part has rows")
        let selection = buckets.map(LeafSelection.init)
        let stored = segments.map(\.segment).flatMap { segment in
            ScanPart.cut(
                selection.map { $0.runs(of: segment.leaves) } ?? [0..<segment.count], of: .segment(segment.number),
                leaves: nil, rowsPerPart: rowsPerPart)
        }
        return stored
            + buffers.map(\.view).flatMap { view in
                ScanPart.cut(
                    [0..<view.count], of: .buffer(view.serial), leaves: selection, rowsPerPart: rowsPerPart)
            }
    }

    /// Offers each of `tops` the live rows of the part that scoring all of them exactly for its query would; returns
    /// how many are live. One query may pass over all parts twice: `pass` has memory for `part.sumsMax` sums. Throws
    /// `damaged` when a block that is needed fails its checksum: then nothing may be answered.
    package func scan(
        _ part: ScanPart, queries: [PreparedQuery], into tops: inout [TopK], scratch: inout ScanScratch,
        pass: ScanPass = .only
    ) throws(SegmentError) -> Int {
        precondition(queries.allSatisfy { $0.dimension == dimension }, "a query of another collection")
        var (scored, pass) = (0, pass)
        switch part.source {
        case .segment(let number):
            let view = segments[segmentIndex(number)]
            for rows in part.runs { scored += try scan(view, rows, queries, &tops, &scratch, &pass) }
        case .buffer(let serial):
            let buffer = buffers[bufferIndex(serial)]
            for rows in part.runs { scored += scan(buffer, rows, part.leaves, queries, &tops, &scratch, &pass) }
        }
        return scored
    }

    /// A batch of one query.
    package func scan(
        _ part: ScanPart, query: PreparedQuery, into best: inout TopK, scratch: inout ScanScratch,
        pass: ScanPass = .only
    ) throws(SegmentError) -> Int {
        var tops = [best]
        defer { best = tops[0] }
        return try scan(part, queries: [query], into: &tops, scratch: &scratch, pass: pass)
    }

    private func scan(
        _ view: SegmentView, _ rows: Range<Int>, _ queries: [PreparedQuery], _ tops: inout [TopK],
        _ scratch: inout ScanScratch, _ pass: inout ScanPass
    ) throws(SegmentError) -> Int {
        let segment = view.segment
        return try segment.withIDs { (ids) throws(SegmentError) -> Int in
            let block = RowBlock<SegmentError>(
                reading: { (rows, floats) throws(SegmentError) in try segment.read(rows, to: floats) },
                ids: ids + rows.lowerBound, rows: rows, source: .segment(segment.number), planes: segment.planes)
            defer { pass = pass.dropping(block.sums) }
            return try VectorSearch.scan(
                block, dead: view.dead, queries: queries, into: &tops, scratch: &scratch, pass: pass)
        }
    }

    private func scan(
        _ buffer: DatedBuffer, _ rows: Range<Int>, _ leaves: LeafSelection?, _ queries: [PreparedQuery],
        _ tops: inout [TopK], _ scratch: inout ScanScratch, _ pass: inout ScanPass
    ) -> Int {
        var dead = buffer.dead
        // Others' rows count as dead ones: a buffer is small, and its rows stand as they came.
        if let leaves {
            for row in rows where !leaves.contains(buffer.view.leaf(row)) { dead.insert(row) }
        }
        var scored = 0
        var row = rows.lowerBound
        while row < rows.upperBound {
            let chunk = row / BufferChunk.capacity
            let within = row % BufferChunk.capacity
            let count = min(BufferChunk.capacity - within, rows.upperBound - row)
            // A tile is encoded when it is full, and was before the view was handed out that its last row is in.
            let filled = min(BufferChunk.capacity, buffer.view.count - chunk * BufferChunk.capacity)
            let held = buffer.view.chunks[chunk]
            let block = RowBlock(
                rows: held.vectors.base + within * dimension, ids: held.ids + within, count: count,
                source: .buffer(buffer.view.serial), firstRow: row, planes: held.planes, firstPlaneRow: within,
                encodedTiles: filled / PlaneCode.tileRows)
            scored += VectorSearch.scan(
                block, dead: dead, queries: queries, into: &tops, scratch: &scratch, pass: pass)
            pass = pass.dropping(block.sums)
            row += count
        }
        return scored
    }

    private func segmentIndex(_ number: UInt64) -> Int {
        guard let at = segments.firstIndex(where: { $0.segment.number == number }) else {
            preconditionFailure("segment \(number) is not in this snapshot")
        }
        return at
    }

    private func bufferIndex(_ serial: UInt64) -> Int {
        guard let at = buffers.firstIndex(where: { $0.view.serial == serial }) else {
            preconditionFailure("buffer \(serial) is not in this snapshot")
        }
        return at
    }
}
