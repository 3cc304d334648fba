@testable import Coordinator
import ClusterModel
import FaceModel
import Replication

/// That a shard is to be split, as the store has it.
struct SplitWish: Hashable {
    let plan: SplitPlan
    /// It is to stay whole after all.
    var isAborting = false
    /// Of the store; another with every change of the wish.
    var revision: Int
}

/// One call of an operator, or of a coordinator by itself, for one split: it reads the registers, asks copies, and does
/// what is next. It may end anywhere; the next one begins with what the store and the copies say.
struct SplitRound {
    enum Step { case looking, beginning, aborting, counting, releasing, countingReleased }

    /// Which of the collection's shards.
    let shard: Int
    var wish: SplitWish?
    /// The shard's register as this round read it.
    let register: RegisterState
    let mapVersion: UInt64
    var step = Step.looking
    /// What the copies in sync said, from when they are asked.
    var divided: DividedCopies?
    /// What the primary said last.
    var progress = SplitProgress(stage: .whole)
    /// Questions that are not answered yet.
    var open: Set<Int> = []
    var isOver = false

    init(shard: Int, wish: SplitWish?, register: RegisterState, mapVersion: UInt64) {
        (self.shard, self.wish, self.register, self.mapVersion) = (shard, wish, register, mapVersion)
    }
}

/// A question of a round to the copy on one machine.
struct SplitAsk {
    let round: Int
    let step: SplitStep
    let copy: ReplicaRegister
    let node: Int
    /// When nobody waits for the answer any more.
    let end: Int
}
