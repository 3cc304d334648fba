import FaceModel
import GRDB
import Replication
import SegmentStore
import StorageIO
import WriteAheadLog

/// What a replica could not do; `ShardError` is what its callers see of it.
enum ReplicaError: Error {
    case log(LogError)
    case segments(SegmentError)
    case file(FileError)
    /// `state.sqlite` refused: `full` when for want of space, which passes.
    case state(path: String, reason: String, full: Bool)
    /// `state.sqlite` is not what was written.
    case damagedState(path: String, reason: String)
    /// A log record that is whole but says something impossible.
    case record(LogIndex, reason: String)
    /// The shard was made once, and `missing` is not there now.
    case missing(directory: String, missing: String)
    /// Files that contradict each other, though each is whole.
    case inconsistent(reason: String)
    /// What this copy has applied as far as this record is not what the copy had applied that wrote it.
    case diverged(LogIndex)
    /// What the caller says of the shard is not what its files are, or not what this version can serve.
    case contradiction(reason: String)
    /// The protocol between copies has no further use for this one as it is.
    case replica(StopReason)
    /// Whole files of a shard that owns something else than the caller would make.
    case otherRoots(owned: [LeafID])

    static func state(_ error: any Error, path: String) -> ReplicaError {
        guard let error = error as? DatabaseError else {
            return .state(path: path, reason: String(describing: error), full: false)
        }
        let reason = error.message ?? "\(error.resultCode)"
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .damagedState(path: path, reason: reason)
        default: return .state(path: path, reason: reason, full: error.resultCode == .SQLITE_FULL)
        }
    }

    /// True for want of space: the same step may work later.
    var passes: Bool {
        switch self {
        case .log(let error): error.isTransient
        case .segments(.file(.noSpace)), .file(.noSpace), .state(_, _, full: true): true
        case .segments, .file, .state, .damagedState, .record, .missing, .inconsistent, .diverged, .contradiction,
            .replica, .otherRoots:
            false
        }
    }

    /// True where the bytes themselves are wrong: asking again reads the same ones. Everything else may be otherwise
    /// the next time, when the disk is mounted, has space, or the right shard is asked for.
    var isDamage: Bool {
        switch self {
        case .log(let error):
            switch error {
            case .lossProven, .damaged, .newerFormat: true
            case .noSpace, .file, .writeFailed, .stopped, .recordTooLarge, .recordsRemoved, .wrongIdentity: false
            }
        case .segments(let error):
            switch error {
            case .damaged, .newerFormat, .tooManyRows, .bufferFull: true
            case .file, .wrongIdentity, .missing, .manifestMissing: false
            }
        case .damagedState, .record, .inconsistent, .diverged, .replica: true
        case .file, .state, .missing, .contradiction, .otherRoots: false
        }
    }

    /// One sentence for an operator: what, where.
    var text: String {
        switch self {
        case .log(let error): "write-ahead log: \(error.sentence)"
        case .segments(let error): "segment store: \(error.sentence)"
        case .file(let error): error.sentence
        case .state(let path, let reason, _): "\(path): \(reason)"
        case .damagedState(let path, let reason): "\(path) is damaged: \(reason)"
        case .record(let index, let reason): "log record \(index): \(reason)"
        case .missing(let directory, let missing):
            """
            its files are missing in \(directory) (no \(missing)): mount the disk if it is not mounted; if it is lost, \
            restore the folder from a backup, or delete the collection and enrol it again
            """
        case .diverged(let index):
            """
            what this copy holds at log record \(index) is not what the primary held: one of the two applied something \
            wrongly
            """
        case .inconsistent(let reason), .contradiction(let reason): reason
        case .replica(let reason): reason.text
        case .otherRoots(let owned): "it owns the subtree roots \(owned.map(\.value))"
        }
    }
}

extension StopReason {
    fileprivate var text: String {
        switch self {
        case .lossProven: "its log proves that records it had acknowledged are lost"
        case .logFailed: "its log failed"
        case .conflictBelowCommit(let index):
            "the primary has another record at \(index), which was committed here: one of the two logs is not what it was"
        case .registerIsOlder:
            "the control plane shows an older state of the shard than this copy has seen: was it restored from a backup?"
        case .generationPassed:
            "a loss was accepted for the shard, and this copy is of the time before; it is opened anew if it is wanted"
        }
    }
}
