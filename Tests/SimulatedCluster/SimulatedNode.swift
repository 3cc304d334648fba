import FaceModel
import Replication

/// A record as a simulated disk keeps it.
struct SimulatedRecord: Hashable {
    let epoch: Epoch
    /// What a client changes (`FaceChange`); 0 for records of the protocol itself. Rot changes it.
    var value: UInt64
    /// What this copy's own sync had covered when it wrote the record.
    let stamp: Int
    /// Of `value` as it was written.
    let checksum: UInt64

    init(epoch: Epoch, value: UInt64, stamp: Int) {
        (self.epoch, self.value, self.stamp) = (epoch, value, stamp)
        checksum = Self.checksum(of: value)
    }

    /// Of a log that begins behind `end`: of what stands before it only the last epoch is known.
    static func unknown(through end: LogPoint) -> [SimulatedRecord] {
        var records = Array(
            repeating: SimulatedRecord(epoch: Epoch(0), value: 0, stamp: 0), count: Int(end.index.value) - 1)
        records.append(SimulatedRecord(epoch: end.epoch, value: 0, stamp: 0))
        return records
    }

    var isIntact: Bool { checksum == Self.checksum(of: value) }
    private static func checksum(of value: UInt64) -> UInt64 { value &* 0x9E37_79B9_7F4A_7C15 }
}

/// A directory of a replica: what survives a crash, and what does not.
struct SimulatedDisk {
    var replica: ReplicaID
    var incarnation: UInt64 = 0
    var memory: ReplicaMemory?
    /// Written, as far as `durable` synced.
    var records: [SimulatedRecord] = []
    var durable = 0
    /// The first record that the log still holds; what stands before it is known by what was applied.
    var begin = 1
    /// What was applied as far as the record `saved`; the log need not hold what comes before the next.
    var table = FaceTable()
    var saved = 0
    /// Files of the halves of its shard, where that is being split.
    var halves: SimulatedHalves?
    /// A crash left part of a record behind the last.
    var torn = false
    /// The scan will find proof of loss.
    var lossProven = false

    var outline: LogOutline {
        var outline = LogOutline()
        for record in records { outline.append(1, of: record.epoch) }
        outline.release(before: LogIndex(UInt64(begin)))
        return outline
    }
}

/// What a node has heard for an election that it makes.
struct SimulatedElection {
    /// Whose primary is suspected.
    let epoch: Epoch
    var reports: [ReplicaID: ReplicaReport] = [:]
}

/// A machine with its disk and its process.
struct SimulatedNode {
    var disk: SimulatedDisk
    var up = true
    /// Counts processes; an event of an earlier one is void.
    var life = 0
    /// The process that last raised the directory's incarnation.
    var raisedInLife = -1
    var core: ReplicaCore?
    var stalledUntil = 0
    /// When this process's next tick comes.
    var tickAt: Int?
    /// What this process's clock showed when the world began.
    var clockStart = 0
    /// Copies made here so far, so that each has its own id.
    var copies = 1
    /// Records applied by this process, and the state they make.
    var applied = 0
    var table = FaceTable()
    /// Searches that wait for a strong read of this process, by its number.
    var searches: [UInt64: Int] = [:]
    /// A copy of the disk taken some time ago.
    var backup: SimulatedDisk?
    /// The election that this process makes, and the one whose answers it has counted.
    var election: SimulatedElection?
    var counted: SimulatedElection?
    /// The primary's values for its writes, until they are in the log.
    var values: [UInt64: [UInt64]] = [:]
    /// What requests are told once they are committed or confirmed.
    var settled: [UInt64: [FaceBatch.Settlement]] = [:]
    var requests: UInt64 = 0
    /// This process fetches another copy's files.
    var isFetching = false
    /// The record that began the split for which this process makes files of the halves.
    var halving: LogPoint?
    /// Steps of the split that wait for this process, by the number of the request.
    var splitSteps: [UInt64: Int] = [:]
}

/// The control plane of the simulation: linearizable, apart from the network to it.
struct SimulatedStore {
    var state: RegisterState
    var incarnations: [ReplicaID: Incarnation] = [:]
    var reports: [ReplicaID: (report: ReplicaReport, at: Int)] = [:]
    /// Epochs whose primary somebody called gone.
    var suspected: Set<Epoch> = []

    mutating func attempt(_ transaction: RegisterTransaction) -> TransactionOutcome {
        guard transaction.expected == state.revision,
            transaction.joiners.allSatisfy({ incarnations[$0.replica] == $0.incarnation })
        else { return .refused(state) }
        state = RegisterState(configuration: transaction.new, revision: state.revision + 1)
        return .made(revision: state.revision)
    }
}
