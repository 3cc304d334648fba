import FaceModel
import SegmentStore
import StorageIO

/// Payload of a `Put` record: everything of one face. Format: docs/formats/shard-records.md.
struct PutRecord: Equatable {
    static let version: UInt8 = 1

    var id: FaceID
    var key: FaceKey
    var count: UInt32
    var leaf: LeafID
    var externalImageID: ExternalImageID?
    var record: FaceRecord
    var vector: RotatedVector
    /// Of the request; the record's own.
    var token: RequestToken

    var payload: [UInt8] {
        var writer = ByteWriter(reserving: 256 + vector.dimension * MemoryLayout<Float>.size)
        writer.put(Self.version)
        writer.put(bytes: id.bits.bytes)
        writer.put(bytes: key.bytes)
        writer.put(count)
        writer.put(leaf.value)
        writer.put(sized: Array((externalImageID?.text ?? "").utf8))
        writer.put(sized: FaceRecordCodec.encode(record))
        writer.put(UInt16(vector.dimension))
        writer.put(floats: vector.values)
        return writer.bytes
    }

    init(
        id: FaceID, key: FaceKey, count: UInt32, leaf: LeafID, externalImageID: ExternalImageID?,
        record: FaceRecord, vector: RotatedVector, token: RequestToken
    ) {
        self.id = id
        self.key = key
        self.count = count
        self.leaf = leaf
        self.externalImageID = externalImageID
        self.record = record
        self.vector = vector
        self.token = token
    }

    init(payload: [UInt8], token: RequestToken, at index: LogIndex) throws(ReplicaError) {
        self.token = token
        do {
            var reader = ByteReader(payload)
            guard try reader.u8() == Self.version else {
                throw ReplicaError.record(index, reason: "Put of a version this program does not know")
            }
            id = FaceID(Bits128(bigEndian: try reader.bytes(16)))
            key = FaceKey(bytes: try reader.bytes(32))
            count = try reader.u32()
            leaf = LeafID(try reader.u32())
            externalImageID = ExternalImageID(String(decoding: try reader.sized(), as: UTF8.self))
            guard let record = FaceRecordCodec.decode(try reader.sized()) else {
                throw ReplicaError.record(index, reason: "Put holds a face record that cannot be read")
            }
            self.record = record
            vector = try reader.vector(Int(try reader.u16()))
        } catch let error as ReplicaError {
            throw error
        } catch {
            throw .record(index, reason: "Put cannot be read: \(error)")
        }
    }
}

/// Payload of a `Delete` record. `nextCount` is the count a later enrolment of the same face key begins with.
struct DeleteRecord: Equatable {
    static let version: UInt8 = 1

    var id: FaceID
    var key: FaceKey
    var nextCount: UInt32
    /// Of the request; the record's own.
    var token: RequestToken

    var payload: [UInt8] {
        var writer = ByteWriter()
        writer.put(Self.version)
        writer.put(bytes: id.bits.bytes)
        writer.put(bytes: key.bytes)
        writer.put(nextCount)
        return writer.bytes
    }

    init(id: FaceID, key: FaceKey, nextCount: UInt32, token: RequestToken) {
        self.id = id
        self.key = key
        self.nextCount = nextCount
        self.token = token
    }

    init(payload: [UInt8], token: RequestToken, at index: LogIndex) throws(ReplicaError) {
        self.token = token
        do {
            var reader = ByteReader(payload)
            guard try reader.u8() == Self.version else {
                throw ReplicaError.record(index, reason: "Delete of a version this program does not know")
            }
            id = FaceID(Bits128(bigEndian: try reader.bytes(16)))
            key = FaceKey(bytes: try reader.bytes(32))
            nextCount = try reader.u32()
        } catch let error as ReplicaError {
            throw error
        } catch {
            throw .record(index, reason: "Delete cannot be read: \(error)")
        }
    }
}

/// Payload of a `Config` record: the subtree roots a shard owns from here on.
struct ConfigRecord: Equatable {
    static let version: UInt8 = 1

    var roots: [LeafID]

    var payload: [UInt8] {
        var writer = ByteWriter()
        writer.put(Self.version)
        writer.put(UInt16(roots.count))
        for root in roots { writer.put(root.value) }
        return writer.bytes
    }

    init(roots: [LeafID]) { self.roots = roots }

    init(payload: [UInt8], at index: LogIndex) throws(ReplicaError) {
        do {
            var reader = ByteReader(payload)
            guard try reader.u8() == Self.version else {
                throw ReplicaError.record(index, reason: "Config of a version this program does not know")
            }
            roots = []
            for _ in 0..<(try reader.u16()) { roots.append(LeafID(try reader.u32())) }
        } catch let error as ReplicaError {
            throw error
        } catch {
            throw .record(index, reason: "Config cannot be read: \(error)")
        }
    }
}

/// Payload of a `Checkpoint` record: the digest of the state in front of it.
struct CheckpointRecord: Equatable {
    static let version: UInt8 = 1

    var digest: StateDigest

    var payload: [UInt8] { [Self.version] + digest.bytes }

    init(digest: StateDigest) { self.digest = digest }

    init(payload: [UInt8], at index: LogIndex) throws(ReplicaError) {
        guard payload.first == Self.version else {
            throw .record(index, reason: "Checkpoint of a version this program does not know")
        }
        guard let digest = StateDigest(bytes: Array(payload.dropFirst())) else {
            throw .record(index, reason: "Checkpoint cannot be read: its length is \(payload.count)")
        }
        self.digest = digest
    }
}

extension ByteWriter {
    /// A 16-bit length, then the bytes.
    fileprivate mutating func put(sized bytes: [UInt8]) {
        put(UInt16(bytes.count))
        put(bytes: bytes)
    }
}

extension ByteReader {
    fileprivate mutating func sized() throws(ByteReadError) -> [UInt8] {
        try bytes(Int(try u16()))
    }
}
