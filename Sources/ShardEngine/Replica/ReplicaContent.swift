import ClusterModel
import FaceModel
import Replication

/// Word for the content of what runs beside the writer: its own work that has ended, or others' that needs it.
protocol ReplicaErrand: Sendable {
    /// The writer has ended; whoever waits is told.
    func abandon()
}

extension Never: ReplicaErrand {
    func abandon() {}
}

/// A request for a shard's log that waits for its batch, and its caller, who is answered exactly once.
protocol ReplicaRequest: Sendable {
    /// What else reaches the content by the same inbox.
    associatedtype Errand: ReplicaErrand
    /// Not begun after this.
    var deadline: ContinuousClock.Instant { get }
    /// What it will weigh in the log, about.
    var estimatedBytes: Int { get }
    func refuse(_ error: ShardError)
}

/// What a copy keeps beside its log, and what it decides: the part of a shard that the protocol between copies does not
/// know. Faces are one, the ledger is another. The writer's thread alone uses it.
///
/// Decisions are made on what is applied, one batch at a time, so nothing is ever taken back.
protocol ReplicaContent: AnyObject {
    associatedtype Request: ReplicaRequest
    /// What applying one record does.
    associatedtype Change

    /// What a committed record of another copy, or of an earlier life of this one, does; nil where that is nothing.
    func change(_ record: ReplicaRecord) throws(ReplicaError) -> Change?

    /// Applies what is committed, and shows it to readers. A full disk is waited out; after an error the copy stops.
    func apply(_ changes: [Change], through index: LogIndex) throws(ReplicaError)

    /// Decides what the log says of requests that fit one batch, and has it written: `ReplicaWriter.write`, at most once.
    /// Every one of them is answered.
    func propose(_ requests: [Request], to writer: ReplicaWriter<Self>)

    /// Work of its own between batches: whatever has become due.
    func attend(_ writer: ReplicaWriter<Self>)

    /// Milliseconds until `attend` is wanted though nothing comes; nil: not before something does.
    func patience(_ writer: ReplicaWriter<Self>) -> Int?

    func receive(_ errand: Request.Errand, _ writer: ReplicaWriter<Self>)

    /// Whether something runs beside the writer that uses its files and ends with an errand.
    var isWorking: Bool { get }

    /// The copy lacks records that the log of `source` no longer has. Said again for as long as it is so.
    func fetchCopy(from source: ReplicaID, _ writer: ReplicaWriter<Self>)

    /// The writer ends: the last that may be written.
    func finish(_ writer: ReplicaWriter<Self>)

    /// Closes what it keeps; readers are told `error` from now on.
    func close(_ error: ShardError)
}
