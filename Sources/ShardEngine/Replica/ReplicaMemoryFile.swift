import FaceModel
import Replication
import StorageIO

/// What a replica never forgets, in a file of its shard's folder: docs/formats/replica.md.
struct ReplicaMemoryFile {
    private static let magic: [UInt8] = Array("FACETREP".utf8)
    private static let version: UInt32 = 1
    private static let bytesMax = 4_096

    let path: String
    private let files: any FileSystem

    init(path: String, on files: any FileSystem) {
        self.path = path
        self.files = files
    }

    func read() throws(ReplicaError) -> ReplicaMemory? {
        let bytes: [UInt8]
        do throws(FileError) {
            guard try files.exists(path) else { return nil }
            bytes = try AtomicFile.read(path, on: files, limit: Self.bytesMax)
        } catch {
            throw .file(error)
        }
        do {
            var reader = ByteReader(bytes, range: 0..<max(0, bytes.count - 4))
            guard try reader.bytes(8) == Self.magic else {
                throw ReplicaError.damagedState(path: path, reason: "magic")
            }
            _ = try reader.u32()
            let epoch = Epoch(try reader.u64())
            let suspect = try reader.u8() == 1
            let revision = try reader.u64()
            let generation = Generation(try reader.u32())
            let version = try reader.u64()
            let registered = Epoch(try reader.u64())
            let primary = ReplicaID(Bits128(bigEndian: try reader.bytes(16)))
            let incarnation = Incarnation(try reader.u64())
            let minISR = Int(try reader.u32())
            var isr: [ReplicaID] = []
            for _ in 0..<(try reader.u16()) { isr.append(ReplicaID(Bits128(bigEndian: try reader.bytes(16)))) }
            var learners: [ReplicaID] = []
            for _ in 0..<(try reader.u16()) { learners.append(ReplicaID(Bits128(bigEndian: try reader.bytes(16)))) }
            return ReplicaMemory(
                epoch: epoch,
                register: RegisterState(
                    configuration: ShardConfiguration(
                        generation: generation, version: version, epoch: registered, primary: primary,
                        primaryIncarnation: incarnation, isr: isr, learners: learners, minISR: minISR),
                    revision: revision), isSuspect: suspect)
        } catch {
            throw .damagedState(path: path, reason: "\(error)")
        }
    }

    func write(_ memory: ReplicaMemory) throws(ReplicaError) {
        let configuration = memory.register.configuration
        var writer = ByteWriter()
        writer.put(bytes: Self.magic)
        writer.put(Self.version)
        writer.put(memory.epoch.value)
        writer.put(UInt8(memory.isSuspect ? 1 : 0))
        writer.put(memory.register.revision)
        writer.put(configuration.generation.value)
        writer.put(configuration.version)
        writer.put(configuration.epoch.value)
        writer.put(bytes: configuration.primary.bits.bytes)
        writer.put(configuration.primaryIncarnation.value)
        writer.put(UInt32(configuration.minISR))
        for members in [configuration.isr, configuration.learners] {
            writer.put(UInt16(members.count))
            for member in members { writer.put(bytes: member.bits.bytes) }
        }
        writer.put(CRC32C.checksum(writer.bytes))
        do throws(FileError) { try AtomicFile.write(writer.bytes, to: path, on: files) } catch { throw .file(error) }
    }
}
