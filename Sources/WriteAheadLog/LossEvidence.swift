import FaceModel
import StorageIO

/// Looks at and behind a bad place for records that were written after it, and takes the highest position that one of
/// them calls durable.
///
/// The chain says nothing across a gap, so a header counts by its own check (docs/formats/wal.md). A header is enough:
/// `batch_durable_lsn` was true when it was written, whatever became of the payload.
struct LossEvidence {
    private(set) var provenDurable = LogIndex.zero

    /// `bytes` is a log segment; `bad` is the lsn that belongs at `start`, a multiple of 8.
    init(_ bytes: [UInt8], from start: Int, after epoch: Epoch, _ bad: LogIndex, salt: UInt32) {
        // No log segment holds more records than headers fit in it.
        let reach = bad.value + UInt64(bytes.count / RecordCodec.headerBytes)
        var offset = start
        while let candidate = Self.nextMagic(bytes, from: offset) {
            offset = candidate + 8
            guard let header = RecordCodec.loneHeader(bytes, at: candidate, salt: salt),
                header.lsn > bad.value, header.lsn <= reach, header.epoch >= epoch.value
            else { continue }
            provenDurable = max(provenDurable, LogIndex(header.batchDurable))
        }
    }

    private static func nextMagic(_ bytes: [UInt8], from start: Int) -> Int? {
        bytes.withUnsafeBytes { bytes in
            var offset = start
            while offset + RecordCodec.headerBytes <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                if UInt32(littleEndian: word) == RecordCodec.magic { return offset }
                offset += 8
            }
            return nil
        }
    }
}
