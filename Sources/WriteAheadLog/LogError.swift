package import FaceModel
package import StorageIO

/// Why a log cannot be read or written.
package enum LogError: Error, Hashable, Sendable {
    /// No space for a new log segment: nothing was appended, and the same append may succeed later.
    case noSpace(path: String)
    case file(FileError)
    /// A write or sync inside an allocated log segment failed: what is on disk is unknown, nothing more is taken.
    case writeFailed(path: String, FileError)
    case stopped
    case recordTooLarge(bytes: Int, limit: Int)
    /// The log begins at `first`: who wants an earlier record needs a copy of the replica.
    case recordsRemoved(wanted: LogIndex, first: LogIndex)
    /// A bad record, and a later one that proves it was durable: acknowledged records are lost or altered.
    case lossProven(path: String, offset: Int, lsn: LogIndex)
    /// A log segment that cannot be read, or one that is missing between two others.
    case damaged(path: String, offset: Int, reason: String)
    case newerFormat(path: String, found: UInt32, supported: UInt32)
    case wrongIdentity(path: String, field: String)

    /// True when waiting for disk space helps.
    package var isTransient: Bool {
        if case .noSpace = self { true } else { false }
    }

    /// Where a log ends before what is lost of it; nil for what says nothing of a loss.
    var lossPlace: (path: String, offset: Int)? {
        switch self {
        case .lossProven(let path, let offset, _), .damaged(let path, let offset, _): (path, offset)
        case .noSpace, .file, .writeFailed, .stopped, .recordTooLarge, .recordsRemoved, .newerFormat, .wrongIdentity:
            nil
        }
    }
}
