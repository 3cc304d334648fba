import FaceModel
import StorageIO

/// How the walk over a log ended.
package enum LogTail: Hashable, Sendable {
    case clean
    /// Bytes after the last whole record are not a record, and nothing proves that they ever were a durable one.
    case torn(path: String, offset: Int)
    /// The record after the last whole one was durable, and is not what was written. Only where a loss is accepted, or
    /// the log is only looked at; else it is an error.
    case lost(path: String, offset: Int)
}

/// Reads a log's files in order; changes nothing, so that tools may run it beside a server.
struct LogScan {
    struct Segment {
        var path: String
        var header: SegmentHeader
        var bytes: Int
        var salt: UInt32
        /// Records at and past this position are superseded by the next log segment.
        var supersededFrom: LogIndex?
        /// Places of some records, rising, from which a reader may begin.
        private var places: [RecordPlace] = []

        init(path: String, header: SegmentHeader, bytes: Int, salt: UInt32, supersededFrom: LogIndex?) {
            self.path = path
            self.header = header
            self.bytes = bytes
            self.salt = salt
            self.supersededFrom = supersededFrom
        }

        /// Where the records begin.
        var start: RecordPlace {
            RecordPlace(index: header.firstIndex, offset: SegmentHeader.bytes, checksum: header.chainStart)
        }

        /// Remembers a place, if it is far enough behind those that are.
        mutating func mark(_ place: RecordPlace) {
            if place.offset - (places.last ?? start).offset >= LogScan.markBytes { places.append(place) }
        }

        /// The remembered place nearest to the record at `index`, not behind it.
        func place(atOrBefore index: LogIndex) -> RecordPlace {
            var (low, high) = (0, places.count)
            while low < high {
                let middle = (low + high) / 2
                if places[middle].index <= index { low = middle + 1 } else { high = middle }
            }
            return low == 0 ? start : places[low - 1]
        }
    }

    static let suffix = ".log"
    /// Bytes between two remembered places: what a reader may have to walk over. 64 MiB of log take 48 KiB of memory.
    static let markBytes = 32 << 10

    let files: any FileSystem
    let segments: [Segment]
    /// Log segments that a truncation made void and a crash left behind.
    let superseded: [String]

    /// Opens every log segment's header. No segments: an empty log.
    init(directory: String, on files: any FileSystem) throws(LogError) {
        self.files = files
        var found: [Segment] = []
        var superseded: [String] = []
        for path in try Self.paths(in: directory, on: files) {
            let (size, start) = try Self.beginning(of: path, on: files)
            let header = try SegmentHeader(start, path: path)
            guard path.hasSuffix(Self.fileName(header.firstIndex)) else {
                throw .damaged(path: path, offset: 0, reason: "begins at \(header.firstIndex), not as its name says")
            }
            guard header.ordinal >= found.last?.header.ordinal ?? 0 else {
                superseded.append(path)
                continue
            }
            guard size == header.fileBytes else {
                throw .damaged(
                    path: path, offset: size, reason: "\(size) bytes where \(header.fileBytes) were allocated")
            }
            if !found.isEmpty { found[found.count - 1].supersededFrom = header.firstIndex }
            let salt = SegmentHeader.salt(ofEncoded: start)
            found.append(Segment(path: path, header: header, bytes: size, salt: salt, supersededFrom: nil))
        }
        segments = found
        self.superseded = superseded
    }

    /// Has the system let go of what it holds of the files.
    func forget() throws(LogError) {
        for segment in segments {
            do throws(FileError) {
                let handle = try files.open(segment.path, .read)
                defer { handle.close() }
                handle.forget(segment.bytes, at: 0)
            } catch {
                throw .file(error)
            }
        }
    }

    private static func paths(in directory: String, on files: any FileSystem) throws(LogError) -> [String] {
        do throws(FileError) {
            return try files.list(directory).filter { $0.hasSuffix(suffix) }.map { directory + "/" + $0 }
        } catch {
            throw .file(error)
        }
    }

    private static func beginning(
        of path: String, on files: any FileSystem
    ) throws(LogError) -> (size: Int, start: [UInt8]) {
        do throws(FileError) {
            let handle = try files.open(path, .read)
            defer { handle.close() }
            let size = try handle.size()
            return (size, try handle.read(count: min(size, SegmentHeader.bytes), at: 0))
        } catch {
            throw .file(error)
        }
    }

    static func fileName(_ first: LogIndex) -> String {
        let digits = String(first.value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + suffix
    }

    /// What a whole walk found.
    struct Summary {
        var lastIndex: LogIndex
        var lastChecksum: UInt32
        var lastEpoch: Epoch
        /// The highest `batch_durable_lsn` of any record, or what a later log segment's existence proves.
        var proven: LogIndex
        var tail: LogTail
    }

    /// Calls `body` for every record in order, with its checksum; leaves out log segments wholly below `start`.
    /// `acceptingLoss`: ends before the first record that is lost, whatever stands behind it.
    func walk(
        from start: LogIndex = .zero, acceptingLoss: Bool = false,
        _ body: (LogRecord, UInt32) throws(LogError) -> Void
    ) throws(LogError) -> Summary {
        let walked = segments.dropFirst(max(0, segments.prefix { $0.header.firstIndex <= start }.count - 1))
        guard let first = walked.first else {
            return Summary(lastIndex: .zero, lastChecksum: 0, lastEpoch: Epoch(0), proven: .zero, tail: .clean)
        }
        let before = LogIndex(first.header.firstIndex.value - 1)
        var summary = Summary(
            lastIndex: before, lastChecksum: first.header.chainStart,
            lastEpoch: first.header.epochs.last?.epoch ?? Epoch(0), proven: before, tail: .clean)
        for segment in walked {
            do throws(LogError) {
                try requireNext(segment, summary)
                // A log segment is made only when all records before it are durable.
                summary.proven = summary.lastIndex
                try walk(segment, &summary, body)
            } catch {
                guard acceptingLoss, let (path, offset) = error.lossPlace else { throw error }
                summary.tail = .lost(path: path, offset: offset)
                return summary
            }
        }
        return summary
    }

    private func requireNext(_ segment: Segment, _ summary: Summary) throws(LogError) {
        guard segment.header.firstIndex == summary.lastIndex.next else {
            throw .damaged(
                path: segment.path, offset: 0,
                reason: "begins at \(segment.header.firstIndex) where \(summary.lastIndex.next) must follow")
        }
        guard segment.header.chainStart == summary.lastChecksum else {
            throw .damaged(path: segment.path, offset: 0, reason: "does not chain to the log segment before it")
        }
    }

    private func walk(
        _ segment: Segment, _ summary: inout Summary, _ body: (LogRecord, UInt32) throws(LogError) -> Void
    ) throws(LogError) {
        var bytes = try contents(of: segment)
        var offset = SegmentHeader.bytes
        while segment.supersededFrom.map({ summary.lastIndex.next < $0 }) ?? true {
            if let next = try step(segment, bytes, at: offset, &summary, body) {
                offset = next
            } else if try ends(segment, &bytes, at: offset, &summary) {
                return
            }
        }
    }

    /// Delivers the record at `offset` if it is the next one; where the one after it begins.
    private func step(
        _ segment: Segment, _ bytes: [UInt8], at offset: Int, _ summary: inout Summary,
        _ body: (LogRecord, UInt32) throws(LogError) -> Void
    ) throws(LogError) -> Int? {
        let found = RecordCodec.decode(
            bytes, at: offset, previousChecksum: summary.lastChecksum, salt: segment.salt)
        guard case .record(let record, let checksum, let end) = found, record.lsn == summary.lastIndex.next,
            record.epoch >= summary.lastEpoch, record.batchDurable < record.lsn
        else { return nil }
        summary.lastIndex = record.lsn
        summary.lastChecksum = checksum
        summary.lastEpoch = record.epoch
        summary.proven = max(summary.proven, record.batchDurable)
        try body(record, checksum)
        return end
    }

    /// The walk met something else than the next record: the log's end or a torn tail (true), or damage (throws). False
    /// when the record has appeared since the file was read.
    private func ends(
        _ segment: Segment, _ bytes: inout [UInt8], at offset: Int, _ summary: inout Summary
    ) throws(LogError) -> Bool {
        let bad = summary.lastIndex.next
        if segment.supersededFrom == nil {
            if ZeroBytes.fill(bytes, from: offset) { return true }
            let evidence = LossEvidence(bytes, from: offset, after: summary.lastEpoch, bad, salt: segment.salt)
            guard evidence.provenDurable >= bad else {
                summary.tail = .torn(path: segment.path, offset: offset)
                return true
            }
        }
        // A server may have written the record after we read its place and before we read the evidence, or, when there
        // is a next log segment, never: it exists only once every record before it is durable.
        bytes = try contents(of: segment)
        var again = summary
        guard try step(segment, bytes, at: offset, &again, { (_, _) throws(LogError) in }) != nil else {
            throw .lossProven(path: segment.path, offset: offset, lsn: bad)
        }
        return false
    }

    private func contents(of segment: Segment) throws(LogError) -> [UInt8] {
        do throws(FileError) {
            let handle = try files.open(segment.path, .read)
            defer { handle.close() }
            return try handle.read(count: segment.bytes, at: 0)
        } catch {
            throw .file(error)
        }
    }
}
