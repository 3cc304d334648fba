import FaceModel
import StorageIO

/// Where a record stands, or will: its lsn, the offset in its log segment, and the checksum of the record before it.
struct RecordPlace: Hashable {
    var index: LogIndex
    var offset: Int
    var checksum: UInt32
}

/// Reads the records of a log segment one after another from a place in it, in pieces.
struct SegmentReader {
    private static let pieceBytes = 256 << 10

    private let segment: LogScan.Segment
    private let handle: any FileHandle
    private var piece: [UInt8] = []
    /// Offset in the file of the piece's first byte.
    private var pieceStart = 0
    /// Of the record that `next` gives.
    private(set) var place: RecordPlace

    init(_ segment: LogScan.Segment, _ handle: any FileHandle, at place: RecordPlace) {
        self.segment = segment
        self.handle = handle
        self.place = place
    }

    /// The record at `place`, which then is that of the one after it. There is one: anything else is `lossProven`.
    mutating func next() throws(LogError) -> LogRecord {
        try require(RecordCodec.headerBytes)
        if let header = RecordHeader(piece, at: place.offset - pieceStart), header.magic == RecordCodec.magic,
            let end = header.end(from: place.offset, limit: segment.bytes)
        {
            try require(end - place.offset)
        }
        let found = RecordCodec.decode(
            piece, at: place.offset - pieceStart, previousChecksum: place.checksum, salt: segment.salt)
        guard case .record(let record, let checksum, let end) = found, record.lsn == place.index else {
            throw .lossProven(path: segment.path, offset: place.offset, lsn: place.index)
        }
        place = RecordPlace(index: place.index.next, offset: pieceStart + end, checksum: checksum)
        return record
    }

    /// Has `count` bytes from `place` on in the piece, or all that the file has.
    private mutating func require(_ count: Int) throws(LogError) {
        let end = min(place.offset + count, segment.bytes)
        guard place.offset < pieceStart || pieceStart + piece.count < end else { return }
        do throws(FileError) {
            let wanted = min(max(count, Self.pieceBytes), segment.bytes - place.offset)
            piece = try handle.read(count: wanted, at: place.offset)
            pieceStart = place.offset
        } catch {
            throw .file(error)
        }
    }
}
