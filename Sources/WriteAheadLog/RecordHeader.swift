import FaceModel
import StorageIO

/// The fixed fields of a record, as found.
struct RecordHeader {
    var magic: UInt32
    var length: Int
    var checksum: UInt32
    var type: UInt8
    var flags: UInt8
    var check: UInt16
    var lsn: UInt64
    var epoch: UInt64
    var batchDurable: UInt64
    var token: [UInt8]

    init?(_ bytes: [UInt8], at offset: Int) {
        guard bytes.count - offset >= RecordCodec.headerBytes else { return nil }
        var reader = ByteReader(bytes, range: offset..<offset + RecordCodec.headerBytes)
        do {
            magic = try reader.u32()
            length = Int(try reader.u32())
            checksum = try reader.u32()
            type = try reader.u8()
            flags = try reader.u8()
            check = try reader.u16()
            lsn = try reader.u64()
            epoch = try reader.u64()
            batchDurable = try reader.u64()
            token = try reader.bytes(16)
        } catch {
            return nil
        }
    }

    func isZero(in bytes: [UInt8], at offset: Int) -> Bool {
        bytes[offset..<offset + RecordCodec.headerBytes].allSatisfy { $0 == 0 }
    }

    /// Where the record ends, padding included; nil when that is beyond the file or the limit.
    func end(from offset: Int, limit: Int) -> Int? {
        guard length <= Limits.recordPayloadBytesMax else { return nil }
        let end = offset + (RecordCodec.headerBytes + length + 7) / 8 * 8
        return end <= limit ? end : nil
    }
}

enum ZeroBytes {
    /// True when every byte from `offset` on is zero; eight at a time, since log segments are mostly zeros.
    static func fill(_ bytes: [UInt8], from offset: Int) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var position = offset
            while position + 8 <= bytes.count {
                if bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) != 0 { return false }
                position += 8
            }
            return bytes[position...].allSatisfy { $0 == 0 }
        }
    }
}
