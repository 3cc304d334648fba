import StorageIO
import WriteAheadLog

extension LogError {
    /// One sentence for an operator.
    var sentence: String {
        switch self {
        case .noSpace(let path): "no space left on the disk for \(path)"
        case .file(let error): error.sentence
        case .writeFailed(_, let error): "a write failed, what is on disk is unknown: \(error.sentence)"
        case .stopped: "the log takes nothing more after a failed write"
        case .recordTooLarge(let bytes, let limit): "a record of \(bytes) bytes is over the limit of \(limit)"
        case .recordsRemoved(let wanted, let first): "the log begins at record \(first), and \(wanted) is wanted"
        case .lossProven(let path, let offset, let lsn):
            "record \(lsn) in \(path) at byte \(offset) is altered or lost: later records prove that it was durable"
        case .damaged(let path, let offset, let reason): "\(path) at byte \(offset): \(reason)"
        case .newerFormat(let path, let found, let supported):
            "\(path) has format \(found); this version reads up to \(supported)"
        case .wrongIdentity(let path, let field): "\(path) belongs to another shard or copy: its \(field) differs"
        }
    }
}
