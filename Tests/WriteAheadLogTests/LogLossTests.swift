import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// Losses larger than a byte, and faults in the middle of the log's own housekeeping.
@Suite struct LogLossTests {
    /// A lost sector takes whole headers with it; the confirming Noop still proves what stood there.
    @Test func everyLostSectorBeforeTheConfirmationIsProvenLoss() throws {
        for entryBytes in [40, 300, 2_000] {
            let disk = SimulatedDisk()
            let (log, _) = try open(disk)
            for number in 1...6 {
                _ = try log.append([entry(number, bytes: entryBytes)], epoch: Epoch(1))
                try log.synchronize()
            }
            _ = try log.append([LogEntry(type: .noop, token: .none, payload: [])], epoch: Epoch(1))
            try log.synchronize()
            let path = try #require(disk.paths.first)
            let bytes = try #require(disk.contents(path))
            let noop = try #require(recordOffsets(bytes).last)
            for start in stride(from: SegmentHeader.bytes, to: noop, by: 8) {
                var lost = bytes
                for offset in start..<min(start + 512, noop) { lost[offset] = 0 }
                guard lost != bytes else { continue }
                #expect(refusal(path, lost) == .loss, "\(entryBytes) bytes an entry, sector at \(start)")
            }
        }
    }

    @Test func aFileShorterThanItWasAllocatedIsRefused() throws {
        let disk = SimulatedDisk()
        _ = try makeLog(on: disk, batches: 3)
        let path = try #require(disk.paths.first)
        let bytes = try #require(disk.contents(path))
        for length in Array(0..<6_000) + [bytes.count - 1, bytes.count - 4_096] {
            #expect(refusal(path, Array(bytes[..<length])) == .damage, "cut at \(length)")
        }
        #expect(refusal(path, bytes + [0]) == .damage)
        #expect(refusal(path, bytes) == .none)
    }

    @Test func aCrashWhileOldLogSegmentsAreRemovedLeavesNoGap() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        // Log segments of 1, 2 and 4 MiB, the first two with one batch each.
        for number in 1...3 {
            _ = try log.append((0..<number).map { noise(number * 4 + $0, bytes: 900_000) }, epoch: Epoch(1))
            try log.synchronize()
        }
        let image = try disk.paths.map { ($0, try #require(disk.contents($0))) }
        #expect(image.count >= 3)
        for operation in 1...5 {
            for seed in 0..<4 {
                let copy = SimulatedDisk()
                try copy.createDirectory(directory)
                for (path, bytes) in image { copy.install(path, bytes) }
                let (log, _) = try open(copy)
                copy.crash(atOperation: copy.operations + operation)
                _ = try? log.truncate(before: LogIndex(6))
                copy.restart(seed: UInt64(operation * 16 + seed))
                let (again, _) = try open(copy)
                #expect(again.lastIndex == LogIndex(6), "operation \(operation), seed \(seed)")
            }
        }
    }

    /// Whether the name of a new log segment is durable is unknown then, so its positions may not be given twice.
    @Test func aNewLogSegmentWhoseNameMayNotBeDurableStopsTheLog() throws {
        for failing in 1...3 {
            for seed in 0..<8 {
                let disk = SimulatedDisk()
                let (log, _) = try open(disk)
                for number in 1...2 {
                    _ = try log.append([noise(number, bytes: 400_000)], epoch: Epoch(1))
                    try log.synchronize()
                }
                // The syncs from here: the new file's, the directory's, and the one of the record after it.
                disk.failSync(number: failing)
                let offered = (3...6).map { noise($0, bytes: $0 == 3 ? 900_000 : 1_000) }
                let acknowledged = offered.filter { isTaken($0, by: log) }
                disk.restart(seed: UInt64(seed))
                let found = Array(try contents(try open(disk).log).dropFirst(2))
                #expect(found.prefix(acknowledged.count) == acknowledged[...], "sync \(failing), seed \(seed)")
                #expect(found.allSatisfy(offered.contains))
            }
        }
    }

    /// A new log segment says that everything before it is durable, so what was appended without a sync is synced first.
    @Test(arguments: 0..<6)
    func aNewLogSegmentIsMadeOnlyOnceEverythingBeforeItIsDurable(seed: Int) throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        let written = [noise(1, bytes: 300_000), noise(2, bytes: 300_000), noise(3, bytes: 900_000)]
        for entry in written { _ = try log.append([entry], epoch: Epoch(1)) }
        #expect(disk.paths.count == 2 && log.durableIndex == log.lastIndex)
        disk.restart(seed: UInt64(seed))
        #expect(try contents(open(disk).log) == written)
    }

    /// Batches that no sync covered may survive a crash in any order: the later one must not testify for the earlier.
    @Test func aCrashNeverLooksLikeLoss() throws {
        for seed in 0..<40 {
            let disk = SimulatedDisk()
            let (log, _) = try open(disk)
            _ = try log.append([entry(1, bytes: 700)], epoch: Epoch(1))
            try log.synchronize()
            for number in 2...9 { _ = try log.append([noise(number, bytes: 700)], epoch: Epoch(1)) }
            disk.restart(seed: UInt64(seed))
            let found = try contents(open(disk).log)
            let written = [entry(1, bytes: 700)] + (2...9).map { noise($0, bytes: 700) }
            #expect(found == Array(written.prefix(found.count)))
            #expect(!found.isEmpty, "seed \(seed)")
        }
    }

    private func isTaken(_ entry: LogEntry, by log: Log) -> Bool {
        do throws(LogError) {
            _ = try log.append([entry], epoch: Epoch(1))
            try log.synchronize()
            return true
        } catch {
            return false
        }
    }

    private enum Refusal { case none, loss, damage, other }

    private func refusal(_ path: String, _ bytes: [UInt8]) -> Refusal {
        let disk = SimulatedDisk()
        do {
            try disk.createDirectory(directory)
            disk.install(path, bytes)
            _ = try open(disk)
            return .none
        } catch LogError.lossProven {
            return .loss
        } catch LogError.damaged {
            return .damage
        } catch {
            return .other
        }
    }
}
