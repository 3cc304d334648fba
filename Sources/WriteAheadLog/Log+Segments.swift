import FaceModel
import StorageIO

/// How log segments come and go.
extension Log {
    /// Makes a log segment that begins at `place` with `records`, zeros allocated behind them, everything durable
    /// before its name appears, and ends the log with it: whatever stood at and behind `place` is superseded from then
    /// on. It replaces a log segment of the same first position. Every record before `place` is durable.
    func startSegment(at place: RecordPlace, holding records: [LogRecord], size wanted: Int) throws(LogError) {
        let size = max(wanted, (SegmentHeader.bytes + Self.bytesMax(records) + 4_095) / 4_096 * 4_096)
        // The epochs of `records` are theirs to tell: a reader that begins here would take them for steps back.
        let before = epochs.filter { $0.first < place.index }
        let header = SegmentHeader(
            identity: identity, firstIndex: place.index, fileBytes: size, chainStart: place.checksum,
            ordinal: (segments.last?.header.ordinal ?? 0) + 1, epochs: before)
        let beginning = header.encoded()
        let salt = SegmentHeader.salt(ofEncoded: beginning)
        let start = RecordPlace(index: place.index, offset: SegmentHeader.bytes, checksum: place.checksum)
        let encoding = RecordCodec.encode(records, at: start, salt: salt)
        let path = directory + "/" + LogScan.fileName(header.firstIndex)
        let handle = try SegmentAllocation.make(beginning + encoding.bytes, for: path, size: size, on: files)
        do throws(LogError) {
            try publish(path)
        } catch {
            handle.close()
            throw error
        }
        active?.close()
        active = handle
        segments.removeAll { $0.header.firstIndex >= place.index }
        if !segments.isEmpty { segments[segments.count - 1].supersededFrom = place.index }
        segments.append(.init(path: path, header: header, bytes: size, salt: salt, supersededFrom: nil))
        (epochs, lastIndex) = (before, LogIndex(place.index.value - 1))
        took(records, encoding)
        durableIndex = lastIndex
    }

    /// Makes sure that records with payloads of these sizes, and a few small ones beside them, can be appended without
    /// space being looked for: a caller that has announced an append cannot take it back. Where a new log segment is
    /// needed for that, everything appended so far is made durable. After `noSpace` or `recordTooLarge` nothing has
    /// changed.
    package func makeRoom(for payloads: [Int]) throws(LogError) {
        guard !failed else { throw .stopped }
        if let large = payloads.first(where: { $0 > Limits.recordPayloadBytesMax }) {
            throw .recordTooLarge(bytes: large, limit: Limits.recordPayloadBytesMax)
        }
        let bytes = payloads.reduce(Self.smallRecordsBytes) { $0 + RecordCodec.bytesMax(payloadBytes: $1) }
        let limit = Limits.walSegmentBytesMax - SegmentHeader.bytes
        guard bytes <= limit else { throw .recordTooLarge(bytes: bytes, limit: limit) }
        if active != nil, let segment = segments.last, offset + bytes <= segment.bytes { return }
        try synchronize()
        try startSegment(at: end, holding: [], size: max(nextSize(), SegmentHeader.bytes + bytes))
    }

    /// Room for a few records without payload.
    private static var smallRecordsBytes: Int { 1_024 }

    /// Log segments double from 1 MiB to 64 MiB, so that a thousand small collections stay cheap.
    func nextSize() -> Int {
        min(Limits.walSegmentBytesMax, max(Limits.walSegmentBytesMin, (segments.last?.bytes ?? 0) * 2))
    }

    /// Gives an allocated log segment its name. Where that may or may not have happened the log stops: the positions of
    /// the records in it must not be given twice.
    private func publish(_ path: String) throws(LogError) {
        do throws(FileError) {
            try files.rename(path + AtomicFile.temporarySuffix, to: path)
        } catch {
            if case .noSpace = error { throw .noSpace(path: path) }
            failed = true
            throw .writeFailed(path: path, error)
        }
        try synchronizeNames()
    }

    func synchronizeNames() throws(LogError) {
        do throws(FileError) {
            try files.synchronizeDirectory(directory)
        } catch {
            failed = true
            throw .writeFailed(path: directory, error)
        }
    }
}
