import ClusterModel
import FaceModel
import Replication

/// Which half of a shard a face is in, by its key alone; or all of a shard that is whole.
enum ShardSide: Hashable {
    case whole
    /// 0 or 1.
    case half(Int)

    func holds(_ key: Int) -> Bool {
        guard case .half(let number) = self else { return true }
        var random = SeededRandom(seed: UInt64(key) << 20)
        return Int(random.next() >> 63) == number
    }
}

/// What the log of a shard says of its split, as a word beside those of clients.
struct SplitRecord: Hashable {
    enum Step: Int { case begin = 1, release, abort }

    /// No client's face has it.
    private static let key: UInt64 = 0x7FFF

    let step: Step
    /// Which of the plans that the shard was ever asked to be split by, from 1.
    let plan: Int

    init(_ step: Step, plan: Int) { (self.step, self.plan) = (step, plan) }

    init?(_ word: UInt64) {
        guard word >> 48 == Self.key, let step = Step(rawValue: Int(word >> 32 & 0xFFFF)) else { return nil }
        self.init(step, plan: Int(word & 0xFFFF_FFFF))
    }

    var word: UInt64 { Self.key << 48 | UInt64(step.rawValue) << 32 | UInt64(plan) }

    /// What becomes of a split by this record, which stands at `point`.
    func following(_ split: SimulatedSplit?, at point: LogPoint) -> SimulatedSplit? {
        switch step {
        case .begin: SimulatedSplit(plan: plan, end: point)
        case .release: split.map { SimulatedSplit(plan: $0.plan, end: $0.end, isReleased: true) }
        case .abort: nil
        }
    }
}

/// A shard that is being replaced by two, as its log says.
struct SimulatedSplit: Hashable {
    let plan: Int
    /// The record that began it: the halves' logs begin behind it.
    let end: LogPoint
    var isReleased = false
}

/// Files of both halves of a shard, which a copy made beside its own.
struct SimulatedHalves {
    let plan: Int
    /// The record that began the split: the same plan may be given up and begun again.
    let end: LogPoint
    /// All of the shard's state when they were made: the copy of a half takes its part of it.
    let table: FaceTable
    /// They are in the shard's own directory no more, and stay when that is made anew.
    var isReleased = false
}
