import FaceModel
package import StorageIO

/// The normal open is the recovery.
extension Log {
    /// Opens the log in `directory`, or begins one. Every record it then holds is durable: what no later record proved
    /// so is written again to a fresh log segment and synced first.
    ///
    /// `beforeCutting` is called where the tail is torn, before anything of the log is changed: who must remember that
    /// the log's end was in doubt notes it durably there, since the next opening finds a whole log. What it throws ends
    /// the opening.
    ///
    /// `acceptingLoss`: a log with proof of loss is cut before the first record that is lost, for good. Only where an
    /// operator has said so.
    package static func open(
        directory: String, identity: LogIdentity, on files: any FileSystem, acceptingLoss: Bool = false,
        beforeCutting: (LogRecovery) throws(LogError) -> Void = { (_) throws(LogError) in }
    ) throws(LogError) -> (log: Log, recovery: LogRecovery) {
        let log = Log(directory: directory, identity: identity, files: files)
        return (log, try log.recover(acceptingLoss: acceptingLoss, beforeCutting))
    }

    private func recover(
        acceptingLoss: Bool, _ beforeCutting: (LogRecovery) throws(LogError) -> Void
    ) throws(LogError) -> LogRecovery {
        try removeTemporaries()
        let scan = try LogScan(directory: directory, on: files)
        for segment in scan.segments {
            guard let field = identity.firstDifference(from: segment.header.identity) else { continue }
            throw .wrongIdentity(path: segment.path, field: field)
        }
        epochs = scan.segments.first?.header.epochs ?? []
        var unproven = UnprovenRecords(chainStart: scan.segments.first?.header.chainStart ?? 0)
        let summary = try scan.walk(acceptingLoss: acceptingLoss) { (record, checksum) throws(LogError) in
            unproven.add(record, checksum)
            note(record.epoch, from: record.lsn)
        }
        unproven.drop(through: summary.proven)
        let recovery = LogRecovery(tail: summary.tail, rewritten: unproven.records.count)
        if !recovery.isClean { try beforeCutting(recovery) }
        try remove(scan.superseded)
        segments = scan.segments
        lastIndex = LogIndex(summary.lastIndex.value - UInt64(unproven.records.count))
        (durableIndex, checksum) = (lastIndex, unproven.checksumBefore)
        if !recovery.isClean || recovery.rewritten > 0 {
            // None, unless a loss was accepted.
            let lost = segments.filter { $0.header.firstIndex > end.index }.map(\.path)
            try startSegment(at: end, holding: unproven.records.map(\.record), size: Limits.walSegmentBytesMin)
            try remove(lost)
        } else if let last = segments.last {
            try reopen(last)
        }
        return recovery
    }

    func removeTemporaries() throws(LogError) {
        do throws(FileError) {
            try files.createDirectory(directory)
            for name in try files.list(directory) where name.hasSuffix(AtomicFile.temporarySuffix) {
                try files.remove(directory + "/" + name)
            }
        } catch {
            throw .file(error)
        }
    }

    /// A log whose every record is proven ends in a log segment without records: it goes on there.
    private func reopen(_ segment: LogScan.Segment) throws(LogError) {
        guard segment.header.firstIndex == lastIndex.next else {
            return try startSegment(at: end, holding: [], size: Limits.walSegmentBytesMin)
        }
        do throws(FileError) {
            active = try files.open(segment.path, .readWrite)
            offset = SegmentHeader.bytes
        } catch {
            throw .file(error)
        }
    }
}
