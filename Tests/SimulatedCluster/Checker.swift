import FaceModel
import Replication

/// What must hold, whatever happens. It sees everything; the cores see nothing of it.
struct Checker {
    enum Read {
        /// Everything acknowledged when it was asked.
        case strong(floor: Int)
        case session(Int)
        case bounded(Int)
    }

    private(set) var failure: String?
    /// Every record that some replica called committed.
    private var log: [SimulatedRecord] = []
    /// What replaying all of them makes, and its digest after each.
    private var replay = FaceTable()
    private var digests: [UInt64] = [0]
    private var tokens: Set<Int> = []
    private var committers: [Epoch: ReplicaID] = [:]
    private var reads: [Int: [UInt64: Read]] = [:]
    private var history: [(time: Int, index: Int)] = []
    var clients = FaceClients()
    private(set) var acknowledged = 0
    var acknowledgedAfterFaults = 0
    /// Copies whose disks lost what was synced.
    var holed: Set<ReplicaID> = []
    /// Copies that hold a bad record, of which nobody may know yet.
    var rotten: Set<ReplicaID> = []
    private var written: [LogPoint: UInt64] = [:]
    private var side = ShardSide.whole

    init() {}

    /// Of a half: what was acknowledged, executed and said before the split holds in it. Nobody reigns in the epoch of the
    /// split's record.
    init(_ side: ShardSide, of parent: Checker, behind end: LogPoint) {
        self.side = side
        log = SimulatedRecord.unknown(through: end)
        replay = parent.replay.half(side)
        digests = Array(repeating: 0, count: log.count) + [replay.digest]
        tokens = parent.tokens
        committers = [end.epoch: ReplicaID(Bits128(high: 0, low: 0))]
        acknowledged = min(parent.acknowledged, log.count)
        history = parent.history.filter { $0.index <= log.count }
        clients = parent.clients.half(side)
    }

    /// How far the split is by all that is committed.
    var split: SimulatedSplit? { replay.split }

    mutating func fail(_ text: String) { if failure == nil { failure = text } }

    var committedCount: Int { log.count }

    /// The record at an lsn, from 1.
    func committed(at index: Int) -> SimulatedRecord? { index > 0 && index <= log.count ? log[index - 1] : nil }

    /// A primary wrote this, with a client's word or without.
    mutating func wrote(_ value: UInt64, at point: LogPoint) { written[point] = value }

    /// S13: what a copy gets from another is what was written.
    func wasWritten(_ value: UInt64, at point: LogPoint) -> Bool { written[point] == value }

    /// S3: what is committed anywhere is the same everywhere. False where it is not.
    mutating func commit(_ record: SimulatedRecord, at index: Int) -> Bool {
        if index == log.count + 1 {
            log.append(record)
            execute(record)
            return true
        }
        return committed(at: index).map { $0.epoch == record.epoch && $0.value == record.value } ?? false
    }

    /// S8, S10 and S11, whatever copies make of it: no token is executed twice, nothing brings a deleted face back, and
    /// what is to be divided stays as it is.
    private mutating func execute(_ record: SimulatedRecord) {
        let word = record.value
        if let change = FaceChange(word) {
            if replay.split != nil { fail("S11 \(change.face) is written at \(log.count), behind the split") }
            if !side.holds(change.face.key) { fail("S11 \(change.face) is written by a half that does not hold it") }
            if !tokens.insert(change.token).inserted { fail("S10 token \(change.token) is executed twice") }
            if !change.isDelete, replay.wasDeleted(change.face) { fail("S8 \(change.face) returns at \(log.count)") }
        }
        replay.apply(word, at: LogPoint(epoch: record.epoch, index: LogIndex(UInt64(log.count))))
        digests.append(replay.digest)
    }

    /// S9 and S12: the digest of what every record as far as `index` makes.
    func digest(after index: Int) -> UInt64? { index < digests.count ? digests[index] : nil }

    /// S2: one primary commits in an epoch.
    mutating func commits(_ replica: ReplicaID, in epoch: Epoch) -> Bool {
        let first = committers[epoch] ?? replica
        committers[epoch] = first
        return first == replica
    }

    mutating func acknowledge(through index: Int, at time: Int) {
        guard index > acknowledged else { return }
        acknowledged = index
        history.append((time, index))
    }

    /// What was acknowledged at `time`.
    func acknowledged(at time: Int) -> Int { history.last { $0.time <= time }?.index ?? 0 }

    mutating func began(_ read: Read, _ number: RequestNumber, at node: Int) {
        reads[node, default: [:]][number.value] = read
    }

    mutating func ended(_ number: RequestNumber, at node: Int) -> Read? {
        reads[node]?.removeValue(forKey: number.value)
    }

    mutating func forget(_ number: RequestNumber, at node: Int) { _ = ended(number, at: node) }
    mutating func crashed(_ node: Int) { reads[node] = nil }
}
