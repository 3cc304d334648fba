import FaceModel
import StorageIO

/// Records as bytes: docs/formats/wal.md.
///
/// ```
///  0 u32 magic and version    4 u32 stored payload length    8 u32 crc32c    12 u8 type   13 u8 flags   14 u16 check
/// 16 u64 lsn                 24 u64 epoch                   32 u64 batch_durable_lsn
/// 40 16 B request token      56 payload, then zeros to a multiple of 8
/// ```
/// The checksum covers the header with its own field zero, the stored payload, and the previous record's checksum.
/// The check covers the header alone, so that a record behind a gap in the chain can be recognised; its salt is the log
/// segment header's checksum, so that a block of another file cannot.
enum RecordCodec {
    static let magic: UInt32 = 0x4657_4C01
    static let headerBytes = 56
    private static let compressedFlag: UInt8 = 1
    private static let compressFrom = 512

    /// At least as many bytes as the record's encoding takes.
    static func bytesMax(_ record: LogRecord) -> Int { bytesMax(payloadBytes: record.payload.count) }
    static func bytesMax(payloadBytes: Int) -> Int { headerBytes + payloadBytes + 8 }

    /// Records as they stand in a log segment, one after another.
    struct Encoding {
        var bytes: [UInt8] = []
        /// Of each record.
        var places: [RecordPlace] = []
        /// Of the record that will follow.
        var end: RecordPlace
    }

    static func encode(_ records: [LogRecord], at start: RecordPlace, salt: UInt32) -> Encoding {
        var encoding = Encoding(end: start)
        encoding.bytes.reserveCapacity(records.reduce(0) { $0 + bytesMax($1) })
        encoding.places.reserveCapacity(records.count)
        for record in records {
            encoding.places.append(encoding.end)
            let sum = encode(
                record, previousChecksum: encoding.end.checksum, salt: salt, into: &encoding.bytes)
            encoding.end = RecordPlace(
                index: record.lsn.next, offset: start.offset + encoding.bytes.count, checksum: sum)
        }
        return encoding
    }

    /// Appends the record's bytes to `out` and returns its checksum.
    static func encode(
        _ record: LogRecord, previousChecksum: UInt32, salt: UInt32, into out: inout [UInt8]
    ) -> UInt32 {
        let (stored, flags) = storedPayload(record.payload)
        var writer = ByteWriter(reserving: headerBytes)
        writer.put(magic)
        writer.put(UInt32(stored.count))
        writer.put(UInt32(0))
        writer.put(record.type.rawValue)
        writer.put(flags)
        writer.put(UInt16(0))
        writer.put(record.lsn.value)
        writer.put(record.epoch.value)
        writer.put(record.batchDurable.value)
        writer.put(bytes: record.token.bits.bytes)
        let start = out.count
        out.append(contentsOf: writer.bytes)
        out.append(contentsOf: stored)
        let check = check(ofHeader: writer.bytes[...], salt: salt)
        for byte in 0..<2 { out[start + 14 + byte] = UInt8(truncatingIfNeeded: check >> UInt16(8 * byte)) }
        let sum = checksum(of: out[start...], previous: previousChecksum)
        for byte in 0..<4 { out[start + 8 + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * byte)) }
        while !(out.count - start).isMultiple(of: 8) { out.append(0) }
        return sum
    }

    /// What stands at an offset of a log segment.
    enum Found {
        case record(LogRecord, checksum: UInt32, end: Int)
        /// Zeros where a record's header would be.
        case empty
        /// Not a record that follows on `previousChecksum`.
        case bad
    }

    static func decode(_ bytes: [UInt8], at offset: Int, previousChecksum: UInt32, salt: UInt32) -> Found {
        guard let header = RecordHeader(bytes, at: offset) else {
            return ZeroBytes.fill(bytes, from: offset) ? .empty : .bad
        }
        if header.magic == 0 && header.isZero(in: bytes, at: offset) { return .empty }
        guard header.magic == magic, let end = header.end(from: offset, limit: bytes.count) else { return .bad }
        let body = bytes[offset..<offset + headerBytes + header.length]
        let computed = checksum(of: body, previous: previousChecksum)
        let padding = bytes[(offset + headerBytes + header.length)..<end]
        guard computed == header.checksum, header.check == check(ofHeader: body, salt: salt),
            padding.allSatisfy({ $0 == 0 }), let record = record(header, stored: Array(body.dropFirst(headerBytes)))
        else { return .bad }
        return .record(record, checksum: computed, end: end)
    }

    /// The header at `offset` when its check is right, whatever became of the records before it or of its payload.
    static func loneHeader(_ bytes: [UInt8], at offset: Int, salt: UInt32) -> RecordHeader? {
        guard let header = RecordHeader(bytes, at: offset), header.magic == magic,
            header.check == check(ofHeader: bytes[offset..<offset + headerBytes], salt: salt),
            RecordType(rawValue: header.type) != nil, header.end(from: offset, limit: bytes.count) != nil,
            header.batchDurable < header.lsn
        else { return nil }
        return header
    }

    private static func check(ofHeader header: ArraySlice<UInt8>, salt: UInt32) -> UInt16 {
        header.withUnsafeBytes { header in
            var sum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: header[..<8]), seed: salt)
            sum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: header[12..<14]), seed: sum)
            sum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: header[16..<headerBytes]), seed: sum)
            return UInt16(truncatingIfNeeded: sum ^ sum >> 16)
        }
    }

    private static func checksum(of body: ArraySlice<UInt8>, previous: UInt32) -> UInt32 {
        body.withUnsafeBytes { body in
            var sum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: body[..<8]))
            sum = CRC32C.checksum([0, 0, 0, 0], seed: sum)
            sum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: body[12...]), seed: sum)
            return withUnsafeBytes(of: previous.littleEndian) { CRC32C.checksum($0, seed: sum) }
        }
    }

    /// LZ4 where it saves a tenth of a payload over 512 bytes; its raw length stands before it.
    private static func storedPayload(_ payload: [UInt8]) -> (stored: [UInt8], flags: UInt8) {
        guard payload.count > compressFrom else { return (payload, 0) }
        let (codec, stored) = payload.withUnsafeBytes {
            BlockCodec.encode($0, elementBytes: 1, preferring: .lz4)
        }
        guard codec == .lz4, (stored.count + 4) * 10 <= payload.count * 9 else { return (payload, 0) }
        var writer = ByteWriter(reserving: stored.count + 4)
        writer.put(UInt32(payload.count))
        writer.put(bytes: stored)
        return (writer.bytes, compressedFlag)
    }

    private static func record(_ header: RecordHeader, stored: [UInt8]) -> LogRecord? {
        guard let type = RecordType(rawValue: header.type), header.flags & ~compressedFlag == 0 else { return nil }
        var payload = stored
        if header.flags & compressedFlag != 0 {
            guard let plain = decompressed(stored) else { return nil }
            payload = plain
        }
        return LogRecord(
            lsn: LogIndex(header.lsn), epoch: Epoch(header.epoch), batchDurable: LogIndex(header.batchDurable),
            type: type, token: RequestToken(Bits128(bigEndian: header.token)), payload: payload)
    }

    private static func decompressed(_ stored: [UInt8]) -> [UInt8]? {
        var reader = ByteReader(stored)
        guard let count = try? Int(reader.u32()), count <= Limits.recordPayloadBytesMax else { return nil }
        var plain = [UInt8](repeating: 0, count: count)
        do {
            try stored.withUnsafeBytes { source in
                try plain.withUnsafeMutableBytes { target in
                    try BlockCodec.lz4.decode(
                        UnsafeRawBufferPointer(rebasing: source[4...]), into: target, elementBytes: 1)
                }
            }
        } catch {
            return nil
        }
        return plain
    }
}
