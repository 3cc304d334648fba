import AuditLedger
import FaceModel
@testable import ShardEngine
import SimulatedDisk
import StorageIO
import Testing

@Suite struct LedgerCrashTests {
    /// Power goes at the n-th disk operation, for every n: whatever was acknowledged is there after the restart, the
    /// ledger is whole and takes entries again.
    @Test func nothingAcknowledgedIsEverLost() async throws {
        let (searches, prepared) = (UInt64(2), try await Self.prepared(127))
        var (operation, reached) = (1, false)
        while !reached {
            let disk = prepared.copy()
            disk.crash(atOperation: operation)
            let (acknowledged, finished) = await Self.run(searches, on: disk)
            reached = finished
            disk.restart(seed: UInt64(operation))
            let report = LedgerSample.verify(disk)
            // A torn tail is no fault; a missing or altered leaf is.
            #expect(report.fault == nil, "operation \(operation): \(report.fault?.description ?? "")")
            let again = await LedgerSample.open(disk)
            #expect(try await again.status().refusing == nil, "operation \(operation)")
            for number in acknowledged {
                let record = try await again.record(of: LedgerSample.search(number), tenant: .embedded)
                #expect(record?.result != nil, "operation \(operation): search \(number)")
            }
            try await LedgerSample.append(5_000, to: again)
            await again.stop()
            #expect(LedgerSample.verify(disk, key: nil).fault == nil, "operation \(operation)")
            operation += 1
        }
        #expect(operation > 20)
    }

    /// A ledger just short of a full bundle, so that the crashes fall on its flush as well.
    private static func prepared(_ searches: UInt64) async throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        let ledger = await LedgerSample.open(disk)
        for number in 0..<searches { try await LedgerSample.append(1_000 + number, to: ledger) }
        await ledger.stop()
        return disk.copy()
    }

    /// Searches whose result was acknowledged, and whether the power stayed on to the end.
    private static func run(_ searches: UInt64, on disk: SimulatedDisk) async -> ([UInt64], finished: Bool) {
        let ledger = await LedgerSample.open(disk)
        var acknowledged: [UInt64] = []
        for number in 0..<searches {
            do {
                try await LedgerSample.append(number, to: ledger)
                acknowledged.append(number)
            } catch {
                break
            }
        }
        await ledger.stop()
        let alive = (try? disk.exists(LedgerSample.directory)) != nil
        return (acknowledged, alive && acknowledged.count == Int(searches))
    }
}
