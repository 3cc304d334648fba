import Foundation

/// What searches took, in nanoseconds: on the clock, and of this thread's processor time, which other work on the
/// machine lengthens less.
struct Times {
    var wall: [Double] = []
    var processor: [Double] = []

    static func of(_ work: () throws -> Void) rethrows -> (wall: Double, processor: Double) {
        let (start, used) = (ContinuousClock.now, processorNanoseconds())
        try work()
        return (nanoseconds(since: start), processorNanoseconds() - used)
    }

    /// `shares` divides it: a time a face, or a row.
    mutating func add(_ time: (wall: Double, processor: Double), shares: Int = 1) {
        wall.append(time.wall / Double(shares))
        processor.append(time.processor / Double(shares))
    }

    func percentile(_ share: Double, _ kind: KeyPath<Times, [Double]>) -> Double {
        let values = self[keyPath: kind].sorted()
        return values.isEmpty ? .nan : values[Int(Double(values.count - 1) * share)]
    }

    /// The median of some rounds, a share of each, of this thread's processor time.
    static func median(rounds: Int = 7, shares: Int, _ work: () throws -> Void) rethrows -> Double {
        var times = Times()
        try work()
        for _ in 0..<rounds { times.add(try of(work), shares: shares) }
        return times.percentile(0.5, \.processor)
    }

    private static func processorNanoseconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

func nanoseconds(since start: ContinuousClock.Instant) -> Double {
    let (seconds, attoseconds) = start.duration(to: .now).components
    return Double(seconds) * 1e9 + Double(attoseconds) * 1e-9
}
