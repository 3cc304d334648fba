/// The pauses between attempts that fail: doubled from the least to the longest, each shortened by up to a half at
/// random, so that many askers do not return at once.
struct Backoff: Sendable {
    private let min: Duration
    private let max: Duration
    private(set) var attempts = 0

    init(min: Duration, max: Duration) {
        self.min = min
        self.max = max
    }

    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        attempts += 1
        let whole = Swift.min(max, min * Double(1 << Swift.min(attempts - 1, 16)))
        return whole * Double.random(in: 0.5...1, using: &generator)
    }

    mutating func reset() { attempts = 0 }
}
