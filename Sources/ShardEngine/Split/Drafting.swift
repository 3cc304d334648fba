import ClusterModel
import FaceModel
import Foundation
import Replication

/// What was enrolled and deleted since files of a shard's halves were drafted: who is looked up again, not what became of
/// them.
struct DraftChanges: Sendable {
    private(set) var faces: Set<FaceID> = []
    private(set) var keys: Set<FaceKey> = []

    mutating func add(_ change: Change) {
        switch change {
        case .put(let put):
            faces.insert(put.id)
            keys.insert(put.key)
        case .delete(let delete):
            faces.insert(delete.id)
            keys.insert(delete.key)
        case .config, .split, .checkpoint, .shardSplit, .splitReleased, .splitAborted: break
        }
    }
}

/// Files of both halves that hold what was applied as far as `through`, and so all but `changes`.
struct HalvesDraft: Sendable {
    let through: LogIndex
    let changes: DraftChanges
}

/// What a copy drafts while its shard, which is to be split, still takes writes: nothing of it outlives the replica.
struct Drafting {
    /// Who asked is gone.
    private static let patience = Duration.seconds(120)
    /// So few changes are brought into the files within the split itself.
    private static let changesLeft = 2_048
    /// Where more is written than can be followed the split begins all the same.
    private static let roundsMax = 8
    /// Some 100 bytes each.
    private static let changesMax = 1 << 20

    /// By which the shard is to be split; nil where nobody wants to.
    private(set) var plan: SplitPlan?
    private(set) var job: HalvingJob?
    /// As far as which the running job reaches; nil where it counts for nothing any more.
    private var reaches: LogIndex?
    private var through: LogIndex?
    private var changes = DraftChanges()
    private var rounds = 0
    private var askedAt = ContinuousClock.now
    private var notBefore: ContinuousClock.Instant?

    static let idle = Drafting()
    var isRunning: Bool { job != nil }
    func cancel() { job?.cancel() }

    mutating func ask(_ plan: SplitPlan) {
        if plan != self.plan { forget() }
        self.plan = plan
        askedAt = .now
    }

    /// A job that runs ends soon, and then counts for nothing.
    mutating func forget() {
        cancel()
        let job = job
        self = .idle
        self.job = job
    }

    var isForgotten: Bool { plan != nil && askedAt + Self.patience < .now }
    var isOverfull: Bool { changes.faces.count > Self.changesMax }
    var isMade: Bool { through != nil && (changes.faces.count <= Self.changesLeft || rounds >= Self.roundsMax) }
    var mayBegin: Bool { plan != nil && job == nil && notBefore.map { $0 <= .now } ?? true }

    mutating func note(_ applied: [Change]) {
        guard plan != nil, job != nil || through != nil else { return }
        for change in applied { changes.add(change) }
    }

    /// What there is of the files; nil where nothing is, or not by this plan.
    func draft(of plan: SplitPlan) -> HalvesDraft? {
        guard plan == self.plan, job == nil, let through else { return nil }
        return HalvesDraft(through: through, changes: changes)
    }

    /// `job` brings the files to `index`, which is applied; what is applied after it is noted anew.
    mutating func begin(_ job: HalvingJob, at index: LogIndex) {
        (self.job, reaches, changes, notBefore) = (job, index, DraftChanges(), nil)
        rounds += 1
    }

    /// The job has ended. False where it counts for nothing any more.
    mutating func end() -> Bool {
        defer { (job, reaches) = (nil, nil) }
        guard let reaches else { return false }
        through = reaches
        return true
    }

    /// Of the files nothing is known now; they are begun anew after a while.
    mutating func fail() {
        (through, changes, rounds, notBefore) = (nil, DraftChanges(), 0, .now + Halving.pause)
    }

    /// Milliseconds until there is something to do; nil where there is nothing.
    var milliseconds: Int? {
        guard plan != nil, job == nil else { return nil }
        let now = ContinuousClock.now
        let next = notBefore.flatMap { $0 > now ? $0 : nil } ?? askedAt + Self.patience
        return max(1, Int(now.duration(to: next) / .milliseconds(1)) + 1)
    }
}
