import FaceModel
import Replication
import StorageIO

/// The file `replica` in a shard's folder: what a replica keeps beside its log (docs/formats/replica.md).
struct ReplicaMemoryFile {
    private static let magic: [UInt8] = Array("FACETREP".utf8)
    private static let version: UInt32 = 1
    private static let suspectFlag: UInt32 = 1
    private static let newFlag: UInt32 = 2
    private static let headBytes = 124
    static let bytesMax = 64 << 10
    static let name = "replica"

    let path: String
    private let shard: ShardID
    let replica: ReplicaID
    private let files: any FileSystem

    init(of shard: ShardID, _ replica: ReplicaID, in folder: String, on files: any FileSystem) {
        (self.shard, self.replica, self.files) = (shard, replica, files)
        path = folder + "/" + Self.name
    }

    /// Durable when it returns; after a failure there is the old file or the new one.
    func write(_ memory: ReplicaMemory) throws(FileError) {
        try AtomicFile.write(encoded(memory), to: path, on: files)
    }

    /// Nil where there is no such file: whether there should be one is for the caller to know. `contradiction` for a
    /// file of a newer version, or of another replica; `damagedState` for one that is not what was written.
    func read() throws(ReplicaError) -> ReplicaMemory? {
        let bytes: [UInt8]
        do throws(FileError) {
            guard try files.exists(path) else { return nil }
            bytes = try AtomicFile.read(path, on: files, limit: Self.bytesMax)
        } catch {
            throw .file(error)
        }
        return try decoded(bytes)
    }

    private func encoded(_ memory: ReplicaMemory) -> [UInt8] {
        let configuration = memory.register.configuration
        let members = configuration.isr + configuration.learners
        let count = Self.headBytes + 16 * members.count + 4
        precondition(count <= Self.bytesMax, "a register of a size that is read again")
        var writer = ByteWriter(reserving: count)
        writer.put(bytes: Self.magic)
        writer.put(Self.version)
        writer.put(UInt32(count))
        writer.put(bytes: shard.bits.bytes)
        writer.put(bytes: replica.bits.bytes)
        writer.put(memory.epoch.value)
        writer.put((memory.isSuspect ? Self.suspectFlag : 0) | (memory.isNew ? Self.newFlag : 0))
        writer.put(configuration.generation.value)
        writer.put(memory.register.revision)
        writer.put(configuration.version)
        writer.put(configuration.epoch.value)
        writer.put(bytes: configuration.primary.bits.bytes)
        writer.put(configuration.primaryIncarnation.value)
        writer.put(UInt32(configuration.minISR))
        writer.put(UInt32(configuration.isr.count))
        writer.put(UInt32(configuration.learners.count))
        for member in members { writer.put(bytes: member.bits.bytes) }
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    /// Why the file in a folder cannot be read, whosever it is; nil where it can, or where there is none.
    static func damage(in folder: String, on files: any FileSystem) -> String? {
        let path = folder + "/replica"
        do throws(FileError) {
            guard try files.exists(path) else { return nil }
            let bytes = try AtomicFile.read(path, on: files, limit: bytesMax)
            do throws(ReplicaError) { _ = try fields(of: bytes, path) } catch { return error.text }
            return nil
        } catch {
            return "cannot be read: \(error.sentence)"
        }
    }

    /// Whose file a folder holds; nil where there is none.
    static func owner(in folder: String, on files: any FileSystem) throws(ReplicaError) -> ReplicaID? {
        try contents(in: folder, on: files)?.replica
    }

    /// What a folder's file says, whosever it is; nil where there is none.
    static func contents(
        in folder: String, on files: any FileSystem
    ) throws(ReplicaError) -> (shard: ShardID, replica: ReplicaID, memory: ReplicaMemory)? {
        let path = folder + "/" + name
        let bytes: [UInt8]
        do throws(FileError) {
            guard try files.exists(path) else { return nil }
            bytes = try AtomicFile.read(path, on: files, limit: bytesMax)
        } catch {
            throw .file(error)
        }
        let fields = try fields(of: bytes, path)
        return (ShardID(fields.shard), ReplicaID(fields.replica), fields.memory)
    }

    private func decoded(_ bytes: [UInt8]) throws(ReplicaError) -> ReplicaMemory {
        let fields = try Self.fields(of: bytes, path)
        guard fields.shard == shard.bits else { throw .contradiction(reason: "\(path) belongs to another shard") }
        guard fields.replica == replica.bits else {
            throw .contradiction(reason: "\(path) belongs to another replica of the shard")
        }
        return fields.memory
    }

    private static func fields(
        of bytes: [UInt8], _ path: String
    ) throws(ReplicaError) -> (shard: Bits128, replica: Bits128, memory: ReplicaMemory) {
        do {
            var reader = try SealedBytes.reader(of: bytes, magic: magic, version: version)
            return (try reader.bits(), try reader.bits(), try memory(&reader))
        } catch SealedBytes.Failure.newerFormat(let found) {
            throw .contradiction(reason: "\(path) has format \(found); this version reads up to \(version)")
        } catch SealedBytes.Failure.damaged(let reason) {
            throw .damagedState(path: path, reason: reason)
        } catch {
            throw .damagedState(path: path, reason: "a field is missing")
        }
    }

    private static func memory(_ reader: inout ByteReader) throws -> ReplicaMemory {
        let epoch = Epoch(try reader.u64())
        let flags = try reader.u32()
        let generation = Generation(try reader.u32())
        let revision = try reader.u64()
        let version = try reader.u64()
        let registerEpoch = Epoch(try reader.u64())
        let primary = ReplicaID(try reader.bits())
        let incarnation = Incarnation(try reader.u64())
        let minISR = Int(try reader.u32())
        let (members, learners) = (Int(try reader.u32()), Int(try reader.u32()))
        guard flags & ~(suspectFlag | newFlag) == 0, reader.remaining == 16 * (members + learners), minISR > 0 else {
            throw SealedBytes.Failure.damaged(reason: "its fields contradict each other")
        }
        let named = try (0..<members + learners).map { _ in ReplicaID(try reader.bits()) }
        let configuration = ShardConfiguration(
            generation: generation, version: version, epoch: registerEpoch, primary: primary,
            primaryIncarnation: incarnation, isr: Array(named[..<members]), learners: Array(named[members...]),
            minISR: minISR)
        return ReplicaMemory(
            epoch: epoch, register: RegisterState(configuration: configuration, revision: revision),
            isSuspect: flags & suspectFlag != 0, isNew: flags & newFlag != 0)
    }
}

extension ByteReader {
    fileprivate mutating func bits() throws -> Bits128 { Bits128(bigEndian: try bytes(16)) }
}
