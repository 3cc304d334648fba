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
    /// State after each of them, by the first replica that applied it.
    private var hashes: [UInt64] = [0]
    private var committers: [Epoch: ReplicaID] = [:]
    private var reads: [Int: [UInt64: Read]] = [:]
    private var history: [(time: Int, index: Int)] = []
    private var values: UInt64 = 0
    private(set) var acknowledged = 0
    var acknowledgedAfterFaults = 0
    /// Copies whose disks lost what was synced.
    var holed: Set<ReplicaID> = []

    mutating func fail(_ text: String) { if failure == nil { failure = text } }

    mutating func newValue() -> UInt64 {
        values += 1
        return values
    }

    var committedCount: Int { log.count }

    /// The record at an lsn, from 1.
    func committed(at index: Int) -> SimulatedRecord? { index > 0 && index <= log.count ? log[index - 1] : nil }

    /// S3: what is committed anywhere is the same everywhere. False where it is not.
    mutating func commit(_ record: SimulatedRecord, at index: Int) -> Bool {
        if index == log.count + 1 {
            log.append(record)
            return true
        }
        return committed(at: index).map { $0.epoch == record.epoch && $0.value == record.value } ?? false
    }

    /// S9: equal lsn, equal state.
    mutating func state(_ hash: UInt64, after index: Int) -> Bool {
        if index == hashes.count { hashes.append(hash) }
        return hashes[index] == hash
    }

    /// The state that every record as far as `index` makes.
    func state(after index: Int) -> UInt64 { hashes[index] }

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
