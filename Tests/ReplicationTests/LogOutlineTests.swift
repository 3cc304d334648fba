import FaceModel
import Testing

@testable import Replication

@Suite struct LogOutlineTests {
    /// The same with an epoch for every record in an array.
    private struct Plain {
        var epochs: [UInt64] = []
        func outline() -> LogOutline {
            var outline = LogOutline()
            for epoch in epochs { outline.append(1, of: Epoch(epoch)) }
            return outline
        }
    }

    private static func random(_ generator: inout Seeded, upTo last: Int) -> Plain {
        var (plain, epoch) = (Plain(), UInt64(1))
        for _ in 0..<Int.random(in: 0...last, using: &generator) {
            epoch += UInt64(Int.random(in: 0...3, using: &generator) / 3)
            plain.epochs.append(epoch)
        }
        return plain
    }

    @Test func answersAsAnArrayDoes() {
        var generator = Seeded(state: 1)
        for _ in 0..<2_000 {
            var plain = Self.random(&generator, upTo: 20)
            var outline = plain.outline()
            if Bool.random(using: &generator) {
                let kept = Int.random(in: 0...20, using: &generator)
                plain.epochs = Array(plain.epochs.prefix(kept))
                outline.truncate(after: LogIndex(UInt64(kept)))
            }
            #expect(outline == plain.outline())
            #expect(outline.last.value == plain.epochs.count)
            for (position, epoch) in plain.epochs.enumerated() {
                #expect(outline.epoch(at: LogIndex(UInt64(position + 1))) == Epoch(epoch))
            }
            #expect(outline.epoch(at: .zero) == Epoch(0))
            #expect(outline.epoch(at: outline.last.next) == nil)
        }
    }

    @Test func findsTheFirstConflictAndTakesWhatIsMissing() {
        var generator = Seeded(state: 2)
        for _ in 0..<2_000 {
            let theirs = Self.random(&generator, upTo: 20)
            let shared = Int.random(in: 0...theirs.epochs.count, using: &generator)
            var ours = Plain(epochs: Array(theirs.epochs.prefix(shared)))
            let highest = (ours.epochs.last ?? 1)
            for _ in 0..<Int.random(in: 0...6, using: &generator) { ours.epochs.append(highest + 5) }
            let from = Int.random(in: 0...shared, using: &generator)
            let range = Self.range(of: theirs, from: from)
            let conflict = zip(ours.epochs, theirs.epochs).enumerated().first { $0.element.0 != $0.element.1 }
            var outline = ours.outline()
            #expect(outline.firstConflict(with: range)?.value == conflict.map { UInt64($0.offset + 1) })
            if let conflict { outline.truncate(after: LogIndex(UInt64(conflict.offset))) }
            _ = outline.extend(with: range)
            let longer = conflict == nil && ours.epochs.count > theirs.epochs.count
            #expect(outline == (longer ? ours : theirs).outline())
        }
    }

    private static func range(of plain: Plain, from: Int) -> LogRange {
        let outline = plain.outline()
        let start = LogIndex(UInt64(from))
        return LogRange(
            previous: LogPoint(epoch: outline.epoch(at: start) ?? Epoch(0), index: start),
            runs: outline.runs(after: start, through: outline.last), last: outline.last)
    }
}

/// SplitMix64.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
