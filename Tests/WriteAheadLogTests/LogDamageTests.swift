import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// What a log does when its bytes are not what was written. A wrong record is never delivered.
@Suite struct LogDamageTests {
    /// Opens a flipped log: it refuses, or it gives a beginning of what was written. Returns how many records it gave.
    private func survivors(
        of written: [LogEntry], flipping offset: Int, in path: String, _ bytes: [UInt8]
    ) throws -> Int? {
        let disk = SimulatedDisk()
        try disk.createDirectory(directory)
        disk.install(path, bytes)
        disk.flip(path, at: offset)
        do {
            let (log, _) = try open(disk)
            let found = try contents(log)
            #expect(found == Array(written.prefix(found.count)), "a wrong record after flipping byte \(offset)")
            return found.count
        } catch is LogError {
            return nil
        }
    }

    @Test func everyFlippedByteIsDetectedOrHarmless() throws {
        let disk = SimulatedDisk()
        let written = try makeLog(on: disk, batches: 3)
        let path = try #require(disk.paths.first)
        let bytes = try #require(disk.contents(path))
        let end = try #require(bytes.lastIndex { $0 != 0 }) + 64
        for offset in 0..<end {
            let count = try survivors(of: written, flipping: offset, in: path, bytes)
            let noopStart = recordOffsets(bytes).last ?? 0
            if offset < noopStart {
                // The Noop proves everything before it durable: damage there is proof of loss, never a shorter log.
                #expect(count == nil, "byte \(offset) was lost silently")
            } else if let count {
                #expect(count >= written.count - 1)
            }
        }
    }

    @Test func withoutALaterRecordADamagedTailIsCutAtTheRecord() throws {
        let disk = SimulatedDisk()
        let written = try makeLog(on: disk, batches: 1, size: 3, confirmed: false)
        let path = try #require(disk.paths.first)
        let bytes = try #require(disk.contents(path))
        let offsets = recordOffsets(bytes)
        for (record, start) in offsets.enumerated() {
            let count = try survivors(of: written, flipping: start + 20, in: path, bytes)
            #expect(count == record)
        }
    }

    @Test(arguments: 0..<40)
    func garbageIsNeverARecord(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let header = SegmentHeader(
            identity: identity, firstIndex: LogIndex(1), fileBytes: SegmentHeader.bytes + 2_000 * 16, chainStart: 0,
            ordinal: 1, epochs: [])
        var bytes = header.encoded()
        for _ in 0..<2_000 {
            withUnsafeBytes(of: RecordCodec.magic.littleEndian) { bytes.append(contentsOf: $0) }
            for _ in 0..<7 { bytes.append(UInt8.random(in: 0...255, using: &random)) }
            bytes.append(0)
            bytes.append(contentsOf: [0, 0, 0, 0])
        }
        let disk = SimulatedDisk()
        try disk.createDirectory(directory)
        disk.install("\(directory)/0000000000000001.log", bytes)
        let (log, recovery) = try open(disk)
        #expect(!recovery.isClean)
        #expect(try contents(log).isEmpty)
    }

    /// Power fails at every operation in turn: what was synchronised is there, in order, and nothing else but a prefix
    /// of what was appended.
    @Test func aCrashAtAnyOperationKeepsWhatWasSynchronised() throws {
        let all = (1...12).map { entry($0, bytes: 900) }
        for operation in 1...80 {
            let disk = SimulatedDisk()
            disk.crash(atOperation: operation)
            var acknowledged = 0
            do {
                let (log, _) = try open(disk)
                for start in stride(from: 0, to: all.count, by: 3) {
                    _ = try log.append(Array(all[start..<start + 3]), epoch: Epoch(1))
                    try log.synchronize()
                    acknowledged = start + 3
                }
            } catch is LogError {}
            for life in 0..<3 {
                disk.restart(seed: UInt64(operation * 10 + life))
                let (log, _) = try open(disk)
                let found = try contents(log)
                #expect(found.count >= acknowledged, "operation \(operation), life \(life)")
                #expect(found == Array(all.prefix(found.count)))
                #expect(log.durableIndex == log.lastIndex)
                acknowledged = found.count
            }
        }
    }
}
