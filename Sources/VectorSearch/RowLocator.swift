/// What holds a row: a segment by its number, or a buffer by its serial.
package enum RowSource: Hashable, Sendable {
    case segment(UInt64)
    case buffer(UInt64)
}

/// Where a scored row stands, as long as its source is part of the snapshot that was scanned.
package struct RowLocator: Hashable, Sendable {
    package var source: RowSource
    package var row: Int
    package init(source: RowSource, row: Int) {
        self.source = source
        self.row = row
    }
}
