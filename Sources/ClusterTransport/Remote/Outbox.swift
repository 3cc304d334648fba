import Replication

/// The letters that wait for one node: bounded, in order. A value; who holds it sends.
struct Outbox {
    /// What became of a letter that was handed over.
    enum Admission: Equatable {
        /// Nobody sends now: whoever handed it over begins to.
        case first
        /// It goes after those before it.
        case queued
        /// As much waits as may; it is lost.
        case full
    }

    private var letters: [(letter: ReplicaLetter, bytes: Int)] = []
    private var bytes = 0
    private var isSending = false
    /// The last that was sent did not arrive, or a letter found no room: said once until it changes.
    private(set) var isFailing = false

    var count: Int { letters.count }

    mutating func add(_ letter: ReplicaLetter, bytes added: Int, _ settings: TransportSettings) -> Admission {
        guard letters.count < settings.lettersMax, bytes + added <= settings.letterBytesMax else { return .full }
        letters.append((letter, added))
        bytes += added
        guard !isSending else { return .queued }
        isSending = true
        return .first
    }

    /// What goes together next: the oldest, as many as fit `max` bytes but one at least. Nil when nothing waits; then
    /// the next letter is a `first` one again.
    mutating func next(max: Int) -> [ReplicaLetter]? {
        guard !letters.isEmpty else {
            isSending = false
            return nil
        }
        var (count, taken) = (0, 0)
        while count < letters.count, count == 0 || taken + letters[count].bytes <= max {
            taken += letters[count].bytes
            count += 1
        }
        let batch = letters.prefix(count).map(\.letter)
        letters.removeFirst(count)
        bytes -= taken
        return batch
    }

    /// Loses all that waits; how many letters that were.
    mutating func clear() -> Int {
        defer { (letters, bytes) = ([], 0) }
        return letters.count
    }

    /// True when that is news.
    mutating func note(failing: Bool) -> Bool {
        defer { isFailing = failing }
        return failing != isFailing
    }
}
