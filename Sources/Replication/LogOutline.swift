package import FaceModel

/// A place in a log and the epoch of the record there. Of two logs the one whose end is greater holds more.
package struct LogPoint: Hashable, Comparable, Sendable {
    package let epoch: Epoch
    package let index: LogIndex

    package init(epoch: Epoch, index: LogIndex) {
        self.epoch = epoch
        self.index = index
    }

    package static let zero = LogPoint(epoch: Epoch(0), index: .zero)
    package static func < (a: LogPoint, b: LogPoint) -> Bool { (a.epoch, a.index) < (b.epoch, b.index) }
}

/// What a log holds, without its payloads: how far it reaches, and where the records of each epoch begin.
///
/// One primary writes in an epoch, and each place once: so two logs that hold the same epoch at a place are equal up to
/// and including it.
package struct LogOutline: Hashable, Sendable {
    /// Records of one epoch, from `first` to where the next run begins.
    package struct Run: Hashable, Sendable {
        package let epoch: Epoch
        package let first: LogIndex
        package init(epoch: Epoch, first: LogIndex) {
            self.epoch = epoch
            self.first = first
        }
    }

    /// Rising in both fields.
    package private(set) var runs: [Run] = []
    package private(set) var last: LogIndex = .zero
    /// The oldest record that the log still holds; of those before only the epochs are known. One past `last` where it
    /// holds none.
    package private(set) var first = LogIndex(1)

    package init() {}

    package var end: LogPoint { LogPoint(epoch: runs.last?.epoch ?? Epoch(0), index: last) }

    /// The epoch of the record at `index`; 0 before the first record, nil behind the last.
    package func epoch(at index: LogIndex) -> Epoch? {
        guard index <= last else { return nil }
        return runs.last { $0.first <= index }?.epoch ?? Epoch(0)
    }

    package mutating func append(_ count: Int, of epoch: Epoch) {
        precondition(count > 0 && epoch >= end.epoch, "records are added, and epochs only grow")
        if epoch > end.epoch { runs.append(Run(epoch: epoch, first: last.next)) }
        last = last.advanced(by: count)
    }

    package mutating func truncate(after index: LogIndex) {
        guard index < last else { return }
        runs.removeAll { $0.first > index }
        last = index
        first = min(first, last.next)
    }

    /// The records before `index` are no longer in the log.
    package mutating func release(before index: LogIndex) { first = max(first, min(index, last.next)) }

    /// The runs of the records behind `start`, as far as `end`.
    package func runs(after start: LogIndex, through end: LogIndex) -> [Run] {
        guard start < end, let epoch = epoch(at: start.next) else { return [] }
        return [Run(epoch: epoch, first: start.next)] + runs.filter { $0.first > start.next && $0.first <= end }
    }

    /// The first place where this log holds a record of another epoch than `other`; both agree at `other.previous`.
    func firstConflict(with other: LogRange) -> LogIndex? {
        let shared = min(last, other.last)
        let places = (runs + other.runs).map(\.first).filter { $0 > other.previous.index && $0 <= shared }.sorted()
        return places.first { epoch(at: $0) != other.epoch(at: $0) }
    }

    /// Adds what `range` holds behind this log's end; how many records that were.
    mutating func extend(with range: LogRange) -> Int {
        let start = last
        for (position, run) in range.runs.enumerated() {
            let end = position + 1 < range.runs.count ? range.runs[position + 1].first.value - 1 : range.last.value
            if end > last.value { append(Int(end - last.value), of: run.epoch) }
        }
        return Int(last.value - start.value)
    }
}

/// Records that one replica sends another: those behind `previous`, as far as `last`.
package struct LogRange: Hashable, Sendable {
    package let previous: LogPoint
    package let runs: [LogOutline.Run]
    package let last: LogIndex

    package init(previous: LogPoint, runs: [LogOutline.Run], last: LogIndex) {
        self.previous = previous
        self.runs = runs
        self.last = last
    }

    func epoch(at index: LogIndex) -> Epoch? { runs.last { $0.first <= index }?.epoch }
}
