import FaceModel
import StorageIO

/// First 4,096 bytes of a log segment: docs/formats/wal.md.
struct SegmentHeader: Hashable {
    static let bytes = 4_096
    static let magic: [UInt8] = Array("FACETWAL".utf8)
    static let version: UInt32 = 2
    private static let ordinalOffset = 4_084
    /// Newest epochs kept; older ones matter only to records long truncated.
    static let epochsMax = 200

    var identity: LogIdentity
    var firstIndex: LogIndex
    /// Length of the file, header and zeros included; no crash leaves it shorter or longer.
    var fileBytes: Int
    /// Checksum of the record before `firstIndex`: where this log segment's chain begins.
    var chainStart: UInt32
    /// One more than that of the log segment made before this one, from 1; 0 in files of version 1. A log segment
    /// supersedes what was made before it and begins behind it.
    var ordinal: UInt64
    /// Those that began before this log segment.
    var epochs: [LogEpochStart]

    /// What the header checks of a log segment's records begin from: the checksum at the end of its encoded header.
    static func salt(ofEncoded bytes: [UInt8]) -> UInt32 {
        precondition(bytes.count >= Self.bytes, "a whole header")
        return (0..<4).reduce(0) { $0 | UInt32(bytes[Self.bytes - 4 + $1]) << UInt32(8 * $1) }
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: Self.bytes)
        writer.put(bytes: Self.magic)
        writer.put(Self.version)
        writer.put(chainStart)
        writer.put(bytes: Array(identity.tenant.text.utf8))
        writer.put(identity.generation.value)
        writer.put(bytes: identity.collection.bits.bytes)
        writer.put(bytes: identity.shard.bits.bytes)
        writer.put(bytes: identity.replica.bits.bytes)
        writer.put(firstIndex.value)
        writer.put(UInt64(fileBytes))
        let kept = epochs.suffix(Self.epochsMax)
        writer.put(UInt64(kept.count))
        for epoch in kept {
            writer.put(epoch.epoch.value)
            writer.put(epoch.first.value)
        }
        while writer.bytes.count < Self.ordinalOffset { writer.put(UInt8(0)) }
        writer.put(ordinal)
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    init(
        identity: LogIdentity, firstIndex: LogIndex, fileBytes: Int, chainStart: UInt32, ordinal: UInt64,
        epochs: [LogEpochStart]
    ) {
        self.identity = identity
        self.firstIndex = firstIndex
        self.fileBytes = fileBytes
        self.chainStart = chainStart
        self.ordinal = ordinal
        self.epochs = epochs
    }

    /// `bytes` begins with a header; anything else throws with the path.
    init(_ bytes: [UInt8], path: String) throws(LogError) {
        guard bytes.count >= Self.bytes, Array(bytes.prefix(8)) == Self.magic else {
            throw .damaged(path: path, offset: 0, reason: "not a log segment")
        }
        do {
            var reader = ByteReader(bytes, range: 8..<Self.bytes)
            let version = try reader.u32()
            let sum = CRC32C.checksum(Array(bytes[..<(Self.bytes - 4)]))
            var tail = ByteReader(bytes, range: Self.bytes - 4..<Self.bytes)
            let stored = try tail.u32()
            if version > Self.version, sum == stored {
                throw LogError.newerFormat(path: path, found: version, supported: Self.version)
            }
            guard 1...Self.version ~= version, sum == stored else {
                throw LogError.damaged(path: path, offset: 0, reason: "the header fails its checksum")
            }
            chainStart = try reader.u32()
            identity = try Self.identity(&reader, path: path)
            firstIndex = LogIndex(try reader.u64())
            fileBytes = Int(clamping: try reader.u64())
            epochs = []
            for _ in 0..<min(try reader.u64(), UInt64(Self.epochsMax)) {
                epochs.append(.init(epoch: Epoch(try reader.u64()), first: LogIndex(try reader.u64())))
            }
            var end = ByteReader(bytes, range: Self.ordinalOffset..<Self.bytes - 4)
            ordinal = version == 1 ? 0 : try end.u64()
        } catch let error as LogError {
            throw error
        } catch {
            throw .damaged(path: path, offset: 0, reason: "the header is too short")
        }
    }

    private static func identity(_ reader: inout ByteReader, path: String) throws -> LogIdentity {
        let tenant = TenantID(String(decoding: try reader.bytes(12), as: UTF8.self))
        let generation = Generation(try reader.u32())
        guard let tenant else { throw LogError.damaged(path: path, offset: 16, reason: "the tenant is not one") }
        return LogIdentity(
            tenant: tenant, collection: CollectionUID(Bits128(bigEndian: try reader.bytes(16))),
            shard: ShardID(Bits128(bigEndian: try reader.bytes(16))),
            replica: ReplicaID(Bits128(bigEndian: try reader.bytes(16))), generation: generation)
    }
}

extension LogIdentity {
    /// The first field in which another log's identity differs.
    func firstDifference(from other: LogIdentity) -> String? {
        if tenant != other.tenant { return "tenant" }
        if collection != other.collection { return "collection" }
        if shard != other.shard { return "shard" }
        if replica != other.replica { return "replica" }
        return generation != other.generation ? "generation" : nil
    }
}
