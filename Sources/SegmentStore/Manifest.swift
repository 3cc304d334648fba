package import FaceModel
import StorageIO

/// What a replica's segment directory holds; docs/formats/manifest.md has the bytes.
package struct Manifest: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package var number: UInt64
        package var bytes: Int
        package var rows: Int
        /// CRC32C of the file's footer, which names the checksums of everything else.
        package var footerChecksum: UInt32

        package var name: String { Manifest.name(number) }
    }

    package static let fileName = "MANIFEST"
    package static let version: UInt32 = 1
    /// A larger file is no manifest: some 250,000 segments.
    static let bytesMax = 16 << 20
    static let segmentPrefix = "segment-"
    private static let magic = Array("FACETMAN".utf8)

    package var identity: SegmentIdentity
    /// Every row of a log record up to this one is in a segment, or was deleted.
    package var flushedThrough: LogIndex
    package var nextSegmentNumber: UInt64
    /// By rising number.
    package var segments: [Entry]

    static func name(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return segmentPrefix + String(repeating: "0", count: 16 - digits.count) + digits + ".seg"
    }

    /// Whether a name is one that a segment's file may have.
    package static func isSegment(_ text: String) -> Bool {
        let digits = text.dropFirst(segmentPrefix.count).prefix(16)
        guard let number = UInt64(digits, radix: 16) else { return false }
        return name(number) == text
    }

    /// Of the segment whose file `path` names; nil where it names another file.
    static func number(ofPath path: String) -> UInt64? {
        guard let name = path.split(separator: "/").last.map(String.init), isSegment(name) else { return nil }
        return UInt64(name.dropFirst(segmentPrefix.count).prefix(16), radix: 16)
    }

    func encoded() -> [UInt8] {
        var body = ByteWriter()
        body.put(bytes: Array(identity.tenant.text.utf8))
        body.put(UInt32(identity.dimension))
        body.put(bytes: identity.collection.bits.bytes)
        body.put(bytes: identity.shard.bits.bytes)
        body.put(bytes: identity.keyID.bytes)
        body.put(flushedThrough.value)
        body.put(nextSegmentNumber)
        body.put(UInt32(segments.count))
        for entry in segments {
            body.put(entry.number)
            body.put(UInt64(entry.bytes))
            body.put(UInt32(entry.rows))
            body.put(entry.footerChecksum)
            body.put(UInt16(entry.name.utf8.count))
            body.put(bytes: Array(entry.name.utf8))
        }
        var writer = ByteWriter()
        writer.put(bytes: Self.magic)
        writer.put(Self.version)
        writer.put(UInt32(16 + body.bytes.count + 4))
        writer.put(bytes: body.bytes)
        return sealed(writer.bytes)
    }

    /// Throws `damaged` or `newerFormat`; whose manifest it is the caller checks.
    static func decode(_ bytes: [UInt8], path: String) throws(SegmentError) -> Manifest {
        let damaged = SegmentError.damaged(path: path, offset: 0, block: nil, reason: "manifest")
        guard bytes.starts(with: magic), isSealed(bytes) else { throw damaged }
        var reader = ByteReader(bytes)
        let manifest: Manifest?
        do {
            _ = try reader.bytes(magic.count)
            let found = try reader.u32()
            guard found <= version else {
                throw SegmentError.newerFormat(path: path, found: Int(found), supported: Int(version))
            }
            guard found == version, try reader.u32() == UInt32(bytes.count) else { throw damaged }
            manifest = try decodeBody(&reader)
        } catch let error as SegmentError {
            throw error
        } catch {
            throw damaged
        }
        guard let manifest, reader.remaining == 4 else { throw damaged }
        return manifest
    }

    private static func decodeBody(_ reader: inout ByteReader) throws(ByteReadError) -> Manifest? {
        guard let tenant = TenantID(String(decoding: try reader.bytes(12), as: UTF8.self)) else { return nil }
        let dimension = Int(try reader.u32())
        guard Limits.dimensionRange.contains(dimension), dimension.isMultiple(of: 8) else { return nil }
        let identity = SegmentIdentity(
            tenant: tenant, collection: CollectionUID(Bits128(bigEndian: try reader.bytes(16))),
            shard: ShardID(Bits128(bigEndian: try reader.bytes(16))), dimension: dimension,
            keyID: Bits128(bigEndian: try reader.bytes(16)))
        var manifest = Manifest(
            identity: identity, flushedThrough: LogIndex(try reader.u64()), nextSegmentNumber: try reader.u64(),
            segments: [])
        for _ in 0..<(try reader.u32()) {
            let number = try reader.u64()
            guard let bytes = Int(exactly: try reader.u64()) else { return nil }
            let entry = Entry(
                number: number, bytes: bytes, rows: Int(try reader.u32()), footerChecksum: try reader.u32())
            let name = try reader.bytes(Int(try reader.u16()))
            guard name == Array(entry.name.utf8), number < manifest.nextSegmentNumber,
                manifest.segments.last.map({ $0.number < number }) ?? true
            else { return nil }
            manifest.segments.append(entry)
        }
        return manifest
    }
}
