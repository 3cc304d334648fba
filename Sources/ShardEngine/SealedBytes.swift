import StorageIO

/// The frame of a small file: magic, format version, its own length, fields, CRC-32C of everything before.
enum SealedBytes {
    enum Failure: Error, Hashable {
        case newerFormat(UInt32)
        case damaged(reason: String)
    }

    private static let fieldsOffset = 16

    /// A reader of the fields, once the frame is found to hold.
    static func reader(of bytes: [UInt8], magic: [UInt8], version: UInt32) throws -> ByteReader {
        guard bytes.starts(with: magic), bytes.count >= fieldsOffset + 4 else {
            throw Failure.damaged(reason: "it begins as no such file does")
        }
        let end = bytes.count - 4
        var head = ByteReader(bytes, range: magic.count..<fieldsOffset)
        var tail = ByteReader(bytes, range: end..<bytes.count)
        let (found, length) = (try head.u32(), try head.u32())
        guard try tail.u32() == CRC32C.checksum(Array(bytes[..<end])) else {
            throw Failure.damaged(reason: "it fails its checksum")
        }
        if found > version { throw Failure.newerFormat(found) }
        guard found > 0, length == bytes.count else { throw Failure.damaged(reason: "its length is not what it says") }
        return ByteReader(bytes, range: fieldsOffset..<end)
    }
}
