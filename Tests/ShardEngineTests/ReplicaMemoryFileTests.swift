import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// The file `replica`, byte by byte as docs/formats/replica.md has it.
@Suite struct ReplicaMemoryFileTests {
    private static let path = "/s/replica"
    private let shard = ShardID(Bits128(high: 3, low: 4))
    private let replica = ReplicaID(Bits128(high: 5, low: 6))

    private func disk(_ bytes: [UInt8]? = nil) throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        try disk.createDirectory("/s")
        if let bytes { disk.install(Self.path, bytes) }
        return disk
    }

    private func file(on disk: SimulatedDisk) -> ReplicaMemoryFile {
        ReplicaMemoryFile(of: shard, replica, in: "/s", on: disk)
    }

    private func bytes(
        version: UInt32 = 1, epoch: UInt64 = 9, flags: UInt32 = 1, members: [UInt64] = [6, 7, 8],
        learners: [UInt64] = [11], minISR: UInt32 = 2, more: [UInt8] = []
    ) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(bytes: Array("FACETREP".utf8))
        writer.put(version)
        writer.put(UInt32(124 + 16 * (members.count + learners.count) + more.count + 4))
        for (high, low) in [(3, 4), (5, 6)] as [(UInt64, UInt64)] {
            writer.put(bytes: Bits128(high: high, low: low).bytes)
        }
        writer.put(epoch)
        writer.put(flags)
        writer.put(UInt32(1))
        for value in [70, 4, 8] as [UInt64] { writer.put(value) }
        writer.put(bytes: Bits128(high: 5, low: 7).bytes)
        writer.put(UInt64(12))
        for value in [minISR, UInt32(members.count), UInt32(learners.count)] { writer.put(value) }
        for low in members + learners { writer.put(bytes: Bits128(high: 5, low: low).bytes) }
        writer.put(bytes: more)
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    @Test func theFileIsAsItsFormatSays() throws {
        let golden = bytes()
        let disk = try disk(golden)
        let memory = try #require(try file(on: disk).read())
        #expect(memory.epoch == Epoch(9) && memory.isSuspect && memory.register.revision == 70)
        let configuration = memory.register.configuration
        #expect(configuration.generation == Generation(1) && configuration.version == 4)
        #expect(configuration.epoch == Epoch(8) && configuration.minISR == 2)
        #expect(configuration.primary == ReplicaID(Bits128(high: 5, low: 7)))
        #expect(configuration.primaryIncarnation == Incarnation(12))
        #expect(configuration.isr.map(\.bits.low) == [6, 7, 8] && configuration.learners.map(\.bits.low) == [11])
        let other = try self.disk()
        try file(on: other).write(memory)
        #expect(other.contents(Self.path) == golden)
    }

    @Test func whatIsWrittenIsRead() throws {
        let disk = try disk(bytes())
        var memory = try #require(try file(on: disk).read())
        for epoch in [0, 1, UInt64.max] {
            for suspect in [false, true] {
                memory.epoch = Epoch(epoch)
                memory.isSuspect = suspect
                memory.isNew = suspect != (epoch == 0)
                memory.register.revision = epoch
                memory.register.configuration.minISR = Int(UInt32.max)
                try file(on: disk).write(memory)
                #expect(try file(on: disk).read() == memory)
            }
        }
        try disk.remove(Self.path)
        #expect(try file(on: disk).read() == nil)
    }

    /// Every bit flipped, every length: never another memory than the one written.
    @Test func noDamagePasses() throws {
        let golden = bytes()
        for bit in 0..<golden.count * 8 {
            let disk = try disk(golden)
            disk.flip(Self.path, at: bit / 8, mask: 1 << UInt8(bit % 8))
            #expect(throws: ReplicaError.self, "bit \(bit)") { try file(on: disk).read() }
        }
        for length in 0..<golden.count {
            let disk = try disk(Array(golden[..<length]))
            #expect(throws: ReplicaError.self, "cut at \(length)") { try file(on: disk).read() }
        }
        for wrong in [golden + [0], golden + golden, [UInt8](repeating: 0, count: 65_537)] {
            let disk = try disk(wrong)
            #expect(throws: ReplicaError.self) { try file(on: disk).read() }
        }
    }

    /// Fields that no writer writes, under a checksum that holds.
    @Test func contradictionsAreRefused() throws {
        for wrong in [
            bytes(flags: 4), bytes(flags: 5), bytes(minISR: 0), bytes(more: [0]),
            bytes(more: [UInt8](repeating: 0, count: 16)),
            bytes(version: 0),
        ] {
            let disk = try disk(wrong)
            #expect { try file(on: disk).read() } throws: {
                if case .damagedState(Self.path, _)? = $0 as? ReplicaError { true } else { false }
            }
        }
    }

    @Test func aNewerFormatAndAnotherReplicaAreNamed() throws {
        let newer = try disk(bytes(version: 2))
        #expect { try file(on: newer).read() } throws: {
            guard case .contradiction(let reason)? = $0 as? ReplicaError else { return false }
            return reason.contains("format 2") && reason.contains("up to 1")
        }
        let disk = try disk(bytes())
        let others = [
            (ShardID(Bits128(high: 3, low: 5)), replica, "another shard"),
            (shard, ReplicaID(Bits128(high: 5, low: 5)), "another replica"),
        ]
        for (shard, replica, words) in others {
            let file = ReplicaMemoryFile(of: shard, replica, in: "/s", on: disk)
            #expect { try file.read() } throws: {
                guard case .contradiction(let reason)? = $0 as? ReplicaError else { return false }
                return reason.contains(words)
            }
        }
    }

    /// Power fails at every operation of a write: there is the old memory or the new one, and the new one once it
    /// returned.
    @Test func aCrashLeavesTheOldFileOrTheNewOne() throws {
        for operation in 1...8 {
            for seed in 0..<8 {
                let disk = try disk(bytes())
                let old = try #require(try file(on: disk).read())
                var new = old
                new.epoch = Epoch(10)
                disk.crash(atOperation: disk.operations + operation)
                var isWritten = false
                do throws(FileError) {
                    try file(on: disk).write(new)
                    isWritten = true
                } catch {}
                disk.restart(seed: UInt64(operation * 16 + seed))
                let found = try file(on: disk).read()
                #expect(found == new || (found == old && !isWritten), "operation \(operation), seed \(seed)")
                try file(on: disk).write(new)
                #expect(try file(on: disk).read() == new)
            }
        }
    }
}
