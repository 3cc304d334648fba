import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// Random lives of a log against a list of what was appended.
@Suite struct LogModelTests {
    @Test(arguments: 0..<30)
    func whatIsAppendedIsReadWhateverTheOrderOfEvents(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let disk = SimulatedDisk()
        var log = try open(disk).log
        var written: [LogEntry] = []
        var epoch = Epoch(1)
        for _ in 0..<25 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0: log = try open(disk).log
            case 1: epoch = Epoch(epoch.value + UInt64.random(in: 1...3, using: &random))
            case 2: try log.truncate(before: LogIndex(UInt64.random(in: 0...UInt64(written.count), using: &random)))
            default:
                let batch = batch(&random, after: written.count)
                #expect(try log.append(batch, epoch: epoch) == LogIndex(UInt64(written.count + batch.count)))
                written += batch
                try log.synchronize()
                #expect(log.durableIndex == log.lastIndex)
            }
        }
        let held = Array(written.dropFirst(Int(log.firstIndex.value) - 1))
        #expect(try contents(log) == held)
        let from = LogIndex(UInt64.random(in: 0...UInt64(written.count), using: &random))
        #expect(try count(log, from: from) == min(held.count, written.count - max(0, Int(from.value) - 1)))
        let again = try open(disk).log
        #expect(try contents(again) == held)
        #expect(again.epoch <= epoch && again.lastIndex == LogIndex(UInt64(written.count)))
    }

    /// Power fails at every operation of a life with new log segments, a second start, a truncation, and in the recovery.
    @Test(arguments: [1])
    func aCrashAtAnyOperationLosesNothingAcknowledged(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let batches = (0..<7).map { step in
            [noise(step, bytes: Int.random(in: 1...3, using: &random) * 180_000), entry(step)]
        }
        var operation = 1
        var isFinished = false
        while !isFinished {
            let disk = SimulatedDisk()
            var life = Life(batches: batches)
            disk.crash(atOperation: operation)
            isFinished = life.run(disk)
            for restart in 0..<2 {
                disk.restart(seed: UInt64(operation * 7 + restart + seed * 1_000))
                // The second start crashes somewhere too, in its own recovery.
                if restart == 0 { disk.crash(atOperation: disk.operations + 1 + operation % 9) }
                guard let (log, _) = restart == 0 ? try? open(disk) : try open(disk) else { continue }
                disk.crash(atOperation: .max)
                let found = try contents(log)
                let first = Int(log.firstIndex.value) - 1
                #expect(first <= life.removable, "operation \(operation)")
                #expect(first + found.count >= life.acknowledged, "operation \(operation)")
                #expect(found == Array(life.offered.dropFirst(first).prefix(found.count)), "operation \(operation)")
            }
            operation += 1
        }
        #expect(operation > 30)
    }

    private struct Life {
        var offered: [LogEntry] = []
        var acknowledged = 0
        /// Records that truncation may have removed.
        var removable = 0
        private let batches: [[LogEntry]]

        init(batches: [[LogEntry]]) { self.batches = batches }

        /// True when nothing failed but what was meant to.
        mutating func run(_ disk: SimulatedDisk) -> Bool {
            do throws(LogError) {
                var log = try Log.open(directory: directory, identity: identity, on: disk).log
                for (step, batch) in batches.enumerated() {
                    offered += batch
                    _ = try log.append(batch, epoch: Epoch(1))
                    try log.synchronize()
                    acknowledged = offered.count
                    if step == 3 { log = try Log.open(directory: directory, identity: identity, on: disk).log }
                    guard step == 5 else { continue }
                    removable = acknowledged
                    try log.truncate(before: LogIndex(UInt64(acknowledged)))
                }
                return true
            } catch {
                return false
            }
        }
    }

    private func batch(_ random: inout SplitMix, after count: Int) -> [LogEntry] {
        (0..<Int.random(in: 1...6, using: &random)).map { number in
            let bytes = [0, 7, 600, 30_000, 150_000][Int.random(in: 0..<5, using: &random)]
            return number.isMultiple(of: 2) ? noise(count + number, bytes: bytes) : entry(count + number, bytes: bytes)
        }
    }

    private func count(_ log: Log, from index: LogIndex) throws -> Int {
        var count = 0
        try log.read(from: index) { (_) throws(LogError) in count += 1 }
        return count
    }
}
