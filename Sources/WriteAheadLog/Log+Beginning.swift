package import FaceModel
package import StorageIO

/// A log that goes on where another replica's files end.
extension Log {
    /// Makes the log of a replica whose files hold every record as far as `last`: it holds none, and its first will stand
    /// behind that. `epochs`, rising in both fields, say where the epochs of those records began, as far as is known.
    /// Durable when it returns; a crash before leaves what this may be called on again.
    ///
    /// `directory` is made where it is missing and must hold no log: `damaged` where it does.
    package static func begin(
        after last: LogIndex, epochs: [LogEpochStart], directory: String, identity: LogIdentity,
        on files: any FileSystem
    ) throws(LogError) {
        precondition(
            zip(epochs, epochs.dropFirst()).allSatisfy { $0.epoch < $1.epoch && $0.first < $1.first },
            "epochs follow on each other")
        precondition(epochs.allSatisfy { $0.first <= last }, "epochs of records that are held")
        let log = Log(directory: directory, identity: identity, files: files)
        try log.removeTemporaries()
        if let other = try LogScan(directory: directory, on: files).segments.first {
            throw .damaged(path: other.path, offset: 0, reason: "a log is here already")
        }
        log.epochs = epochs
        (log.lastIndex, log.durableIndex) = (last, last)
        try log.startSegment(
            at: RecordPlace(index: last.next, offset: 0, checksum: 0), holding: [], size: Limits.walSegmentBytesMin)
        log.active?.close()
    }
}
