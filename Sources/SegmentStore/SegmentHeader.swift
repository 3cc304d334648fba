import FaceModel
import StorageIO
import VectorSearch

// The first 128 bytes of a segment file; docs/formats/segment.md has the diagram.

/// What a segment file says of itself.
struct SegmentHeader: Hashable, Sendable {
    static let magic = Array("FACETSEG".utf8)
    /// What is written, and the oldest that is read.
    static let version: UInt32 = 2
    static let versionMin: UInt32 = 1
    static let bytes = 128
    /// Bytes that every version can read: magic, version, header length.
    static let preambleBytes = 16
    /// A later header is not longer than this.
    static let bytesMax = 65_536

    var identity: SegmentIdentity
    var number: UInt64
    var rows: Int
    /// The log records whose rows may be here.
    var firstLSN: LogIndex
    var lastLSN: LogIndex
    var version = Self.version
    /// The rules by which the columns of planes were made; 0 in a file without them.
    var planeRules = PlaneCode.rulesVersion

    /// The header's own checksum is its last field.
    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(bytes: Self.magic)
        writer.put(version)
        writer.put(UInt32(Self.bytes))
        writer.put(bytes: Array(identity.tenant.text.utf8))
        writer.put(UInt32(identity.dimension))
        writer.put(bytes: identity.collection.bits.bytes)
        writer.put(bytes: identity.shard.bits.bytes)
        writer.put(bytes: identity.keyID.bytes)
        writer.put(number)
        writer.put(UInt64(rows))
        writer.put(firstLSN.value)
        writer.put(lastLSN.value)
        writer.put(planeRules)
        writer.put(bytes: [UInt8](repeating: 0, count: 8))
        return sealed(writer.bytes)
    }

    /// Nil unless `bytes` are a whole header of a version that is read, whose fields are within their limits.
    static func decode(_ bytes: [UInt8]) -> SegmentHeader? {
        guard bytes.count == Self.bytes, isSealed(bytes) else { return nil }
        var reader = ByteReader(bytes)
        do {
            guard try reader.bytes(8) == magic, case let found = try reader.u32(),
                (versionMin...version).contains(found), try reader.u32() == UInt32(Self.bytes),
                let tenant = TenantID(String(decoding: try reader.bytes(12), as: UTF8.self))
            else { return nil }
            let dimension = Int(try reader.u32())
            guard Limits.dimensionRange.contains(dimension), dimension.isMultiple(of: 8) else { return nil }
            let identity = SegmentIdentity(
                tenant: tenant, collection: CollectionUID(Bits128(bigEndian: try reader.bytes(16))),
                shard: ShardID(Bits128(bigEndian: try reader.bytes(16))), dimension: dimension,
                keyID: Bits128(bigEndian: try reader.bytes(16)))
            let number = try reader.u64()
            let rows = try reader.u64()
            let header = SegmentHeader(
                identity: identity, number: number, rows: Int(clamping: rows), firstLSN: LogIndex(try reader.u64()),
                lastLSN: LogIndex(try reader.u64()), version: found, planeRules: try reader.u32())
            guard (1...UInt64(Limits.segmentFacesMax)).contains(rows), header.firstLSN <= header.lastLSN,
                found > 1 || header.planeRules == 0, try reader.bytes(8).allSatisfy({ $0 == 0 })
            else { return nil }
            return header
        } catch {
            return nil
        }
    }
}

/// `bytes` and their CRC32C.
func sealed(_ bytes: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.put(bytes: bytes)
    writer.put(checksum(bytes[...]))
    return writer.bytes
}

/// True when the last four bytes are the CRC32C of the rest.
func isSealed(_ bytes: [UInt8]) -> Bool { bytes.count >= 4 && checksum(bytes.dropLast(4)) == lastWord(bytes) }

/// The last four bytes; the CRC of what `sealed` made.
func lastWord(_ bytes: [UInt8]) -> UInt32 {
    bytes.suffix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
}

func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    bytes.withUnsafeBytes { CRC32C.checksum($0) }
}
