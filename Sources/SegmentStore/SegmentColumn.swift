import FaceModel
import StorageIO
import VectorSearch

// Columns, their block tables, and the footer that lists them; docs/formats/segment.md has the diagrams.

/// What a column holds.
struct ColumnKind: Hashable, Sendable {
    let code: UInt16
    static let ids = ColumnKind(code: 1)
    static let vectors = ColumnKind(code: 5)
    static let records = ColumnKind(code: 6)
    /// Zeros that fill the file up to where a column of planes may begin.
    static let padding = ColumnKind(code: 9)
    /// The newest kind that is known.
    static let newest = padding

    /// Columns of planes, by the part of a `PlaneBlock` that they hold.
    private static let planeColumns: [(code: UInt16, section: PlaneSection)] = [
        (2, .tiles), (3, .rows(stage: 0)), (4, .rows(stage: 1)), (7, .factors(stage: 0)), (8, .factors(stage: 1)),
    ]

    static func planes(_ section: PlaneSection) -> ColumnKind {
        guard let found = planeColumns.first(where: { $0.section == section }) else {
            preconditionFailure("planes are read in three stages at most")
        }
        return ColumnKind(code: found.code)
    }

    /// Nil for a column that holds no planes.
    var section: PlaneSection? { Self.planeColumns.first { $0.code == code }?.section }

    /// Whether its blocks are read when a segment is opened; of the others only what says where they stand.
    var isReadWhole: Bool { self == .ids || section != nil }

    /// A reader that does not know the kind must refuse the file.
    var isRequired: Bool { code & 0x8000 != 0 }
}

/// The 40 bytes before a column's block table.
struct ColumnHeader: Hashable, Sendable {
    static let bytes = 40
    static let rowsMax = 4_096
    /// Rows of a column of planes: tiles of 64.
    static let planeRowsMax = 16_384

    var kind: ColumnKind
    var leaf: LeafID
    var firstRow: Int
    var rows: Int
    var rowsPerBlock: Int
    /// Block table and blocks.
    var payloadBytes: Int
    var tableChecksum: UInt32

    var blocks: Int { (rows + rowsPerBlock - 1) / rowsPerBlock }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(kind.code)
        writer.put(UInt16(0))
        writer.put(leaf.value)
        writer.put(UInt32(firstRow))
        writer.put(UInt32(rows))
        writer.put(UInt32(rowsPerBlock))
        writer.put(UInt32(blocks))
        writer.put(UInt64(payloadBytes))
        writer.put(tableChecksum)
        return sealed(writer.bytes)
    }

    /// Nil unless `bytes` are a whole column header whose counts agree.
    static func decode(_ bytes: [UInt8]) -> ColumnHeader? {
        guard bytes.count == Self.bytes, isSealed(bytes) else { return nil }
        var reader = ByteReader(bytes)
        do {
            let kind = ColumnKind(code: try reader.u16())
            guard try reader.u16() == 0 else { return nil }
            let leaf = LeafID(try reader.u32())
            let (first, rows, perBlock) = (try reader.u32(), try reader.u32(), try reader.u32())
            let blocks = try reader.u32()
            guard let payload = Int(exactly: try reader.u64()),
                (1...UInt32(kind.section == nil ? rowsMax : planeRowsMax)).contains(rows), perBlock > 0
            else { return nil }
            let header = ColumnHeader(
                kind: kind, leaf: leaf, firstRow: Int(first), rows: Int(rows), rowsPerBlock: Int(perBlock),
                payloadBytes: payload, tableChecksum: try reader.u32())
            return header.blocks == Int(blocks) ? header : nil
        } catch {
            return nil
        }
    }
}

/// One line of a block table.
struct BlockEntry: Hashable, Sendable {
    static let bytes = 12

    /// Codec and length in one word.
    struct Stored: Hashable, Sendable {
        private static let bits: UInt32 = 28

        let word: UInt32

        init(_ codec: BlockCodec, bytes: Int) {
            precondition(bytes >> Int(Self.bits) == 0, "a block fits 28 bits")
            word = UInt32(codec.rawValue) << Self.bits | UInt32(bytes)
        }

        /// Nil for a codec that is not known.
        init?(word: UInt32) {
            guard BlockCodec(rawValue: UInt8(word >> Self.bits)) != nil else { return nil }
            self.word = word
        }

        var bytes: Int { Int(word & (1 << Self.bits - 1)) }

        var codec: BlockCodec {
            guard let codec = BlockCodec(rawValue: UInt8(word >> Self.bits)) else {
                preconditionFailure("a codec that was known")
            }
            return codec
        }
    }

    var codec: BlockCodec
    var storedBytes: Int
    var rawBytes: Int
    var checksum: UInt32

    func encode(into writer: inout ByteWriter) {
        writer.put(Stored(codec, bytes: storedBytes).word)
        writer.put(UInt32(rawBytes))
        writer.put(checksum)
    }

    static func decode(_ reader: inout ByteReader) throws(ByteReadError) -> BlockEntry? {
        let (word, raw, checksum) = (try reader.u32(), try reader.u32(), try reader.u32())
        guard let stored = Stored(word: word) else { return nil }
        return BlockEntry(
            codec: stored.codec, storedBytes: stored.bytes, rawBytes: Int(raw), checksum: checksum)
    }
}

/// Where a column stands in its file.
struct ColumnPlace: Hashable, Sendable {
    static let bytes = 36

    var offset: Int
    /// Its header included.
    var bytes: Int
    var kind: ColumnKind
    var leaf: LeafID
    var firstRow: Int
    var rows: Int
    var headerChecksum: UInt32
}

/// Lists every column; its own checksum is in the trailer, and in the manifest.
struct SegmentFooter: Hashable, Sendable {
    var headerChecksum: UInt32
    var columns: [ColumnPlace]

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(headerChecksum)
        writer.put(UInt32(columns.count))
        for column in columns {
            writer.put(UInt64(column.offset))
            writer.put(UInt64(column.bytes))
            writer.put(column.kind.code)
            writer.put(UInt16(0))
            writer.put(column.leaf.value)
            writer.put(UInt32(column.firstRow))
            writer.put(UInt32(column.rows))
            writer.put(column.headerChecksum)
        }
        return writer.bytes
    }

    /// Nil unless the columns listed fill `bytes` exactly.
    static func decode(_ bytes: [UInt8]) -> SegmentFooter? {
        var reader = ByteReader(bytes)
        do {
            var footer = SegmentFooter(headerChecksum: try reader.u32(), columns: [])
            let count = Int(try reader.u32())
            guard bytes.count == 8 + count * ColumnPlace.bytes else { return nil }
            for _ in 0..<count {
                guard let offset = Int(exactly: try reader.u64()), let length = Int(exactly: try reader.u64()),
                    case let kind = ColumnKind(code: try reader.u16()), try reader.u16() == 0
                else { return nil }
                footer.columns.append(
                    ColumnPlace(
                        offset: offset, bytes: length, kind: kind, leaf: LeafID(try reader.u32()),
                        firstRow: Int(try reader.u32()), rows: Int(try reader.u32()),
                        headerChecksum: try reader.u32()))
            }
            return footer
        } catch {
            return nil
        }
    }
}

/// The last 32 bytes of a segment file.
struct SegmentTrailer: Hashable, Sendable {
    static let bytes = 32
    static let magic = Array("FSEG".utf8)

    var footerOffset: Int
    var fileBytes: Int
    var footerBytes: Int
    var footerChecksum: UInt32

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(UInt64(footerOffset))
        writer.put(UInt64(fileBytes))
        writer.put(UInt32(footerBytes))
        writer.put(footerChecksum)
        return sealed(writer.bytes) + Self.magic
    }

    static func decode(_ bytes: [UInt8]) -> SegmentTrailer? {
        guard bytes.count == Self.bytes, bytes.suffix(4) == magic[...], isSealed(bytes.dropLast(4)) else { return nil }
        var reader = ByteReader(bytes)
        do {
            guard let offset = Int(exactly: try reader.u64()), let file = Int(exactly: try reader.u64()) else {
                return nil
            }
            return SegmentTrailer(
                footerOffset: offset, fileBytes: file, footerBytes: Int(try reader.u32()),
                footerChecksum: try reader.u32())
        } catch {
            return nil
        }
    }
}
