import FaceModel
import GRDB
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
    /// A log record that is whole but says something impossible.
    case record(LogIndex, reason: String)
    /// Files that contradict each other, though each is whole.
    case inconsistent(reason: String)

    static func state(_ error: any Error, path: String) -> ReplicaError {
        guard let error = error as? DatabaseError else {
            return .state(path: path, reason: String(describing: error), full: false)
        }
        return .state(
            path: path, reason: error.message ?? "\(error.resultCode)",
            full: error.resultCode == .SQLITE_FULL)
    }

    /// True for want of space: the same step may work later.
    var passes: Bool {
        switch self {
        case .log(let error): error.isTransient
        case .segments(.file(.noSpace)), .file(.noSpace), .state(_, _, full: true): true
        case .segments, .file, .state, .record, .inconsistent: false
        }
    }

    /// One sentence for an operator: what, where.
    var text: String {
        switch self {
        case .log(let error): "write-ahead log: \(error)"
        case .segments(let error): "segment store: \(error)"
        case .file(let error): "file: \(error)"
        case .state(let path, let reason, _): "\(path): \(reason)"
        case .record(let index, let reason): "log record \(index): \(reason)"
        case .inconsistent(let reason): reason
        }
    }
}
