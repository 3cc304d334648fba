/// A reading of one machine's monotonic clock, in milliseconds. It comes in with every event; two machines' are never
/// compared.
package struct Moment: Hashable, Comparable, Sendable {
    package let milliseconds: Int
    package init(milliseconds: Int) { self.milliseconds = milliseconds }
    package static func < (a: Moment, b: Moment) -> Bool { a.milliseconds < b.milliseconds }

    /// Milliseconds from `earlier` to this.
    package func since(_ earlier: Moment) -> Int { milliseconds - earlier.milliseconds }

    /// So many milliseconds later.
    package func advanced(by span: Int) -> Moment { Moment(milliseconds: milliseconds + span) }
}

/// The number a driver gives to a request it hands to a replica; unique while the replica runs.
package struct RequestNumber: Hashable, Comparable, Sendable {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package static func < (a: RequestNumber, b: RequestNumber) -> Bool { a.value < b.value }
}
