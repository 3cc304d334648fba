/// Position of a record in a shard's log (lsn). The first record is 1; 0 means "nothing yet".
package struct LogIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package static let zero = LogIndex(0)
    package var next: LogIndex { LogIndex(value + 1) }
    package func advanced(by count: Int) -> LogIndex { LogIndex(value + UInt64(count)) }
    package var description: String { "\(value)" }
    package static func < (a: LogIndex, b: LogIndex) -> Bool { a.value < b.value }
}

/// The reign of one primary. Grows by one whenever the primary of a shard changes; the first is 1.
package struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package var next: Epoch { Epoch(value + 1) }
    package var description: String { "\(value)" }
    package static func < (a: Epoch, b: Epoch) -> Bool { a.value < b.value }
}

/// The count of a node's starts: grows by one at each. What a node said in an earlier one no longer counts.
package struct Incarnation: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package var next: Incarnation { Incarnation(value + 1) }
    package var description: String { "\(value)" }
    package static func < (a: Incarnation, b: Incarnation) -> Bool { a.value < b.value }
}

/// The count of losses an operator has accepted for a shard; 0 unless `facectl shard recover` was used.
package struct Generation: Hashable, Comparable, Sendable {
    package let value: UInt32
    package init(_ value: UInt32) { self.value = value }
    package static func < (a: Generation, b: Generation) -> Bool { a.value < b.value }
}

/// How much of a shard an answer shows: everything applied as far as `lsn`, in the history of one generation.
package struct ShardPosition: Hashable, Comparable, Sendable {
    package let generation: Generation
    package let lsn: LogIndex
    package init(_ generation: Generation, _ lsn: LogIndex) {
        self.generation = generation
        self.lsn = lsn
    }
    /// Before everything.
    package static let zero = ShardPosition(Generation(0), .zero)
    package static func < (a: ShardPosition, b: ShardPosition) -> Bool {
        (a.generation, a.lsn) < (b.generation, b.lsn)
    }
}

/// A leaf (bucket) of the collection's tree. A collection starts as one bucket, `root`.
package struct LeafID: Hashable, Comparable, Sendable {
    package let value: UInt32
    package init(_ value: UInt32) { self.value = value }
    package static let root = LeafID(0)
    package static func < (a: LeafID, b: LeafID) -> Bool { a.value < b.value }
}

/// Milliseconds since 1970-01-01 UTC, read from a clock only by level 3 and above.
package struct Timestamp: Hashable, Comparable, Sendable {
    package let milliseconds: Int64
    package init(milliseconds: Int64) { self.milliseconds = milliseconds }
    package static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }
}
