import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

@Suite struct DiskSpaceTests {
    @Test(arguments: [
        // free, total (MiB), enrolments and deletes refused
        (150, 1_000, false, false), (149, 1_000, true, false), (80, 1_000, true, false), (79, 1_000, true, true),
        (8 << 10, 20 << 20, false, false), ((8 << 10) - 1, 20 << 20, true, false),
        ((4 << 10) - 1, 20 << 20, true, true),
    ])
    func aReserveIsAShareButNoMoreThanItNeeds(free: Int, total: Int, enrolments: Bool, deletes: Bool) {
        let space = DiskCapacity(total: total << 20, free: free << 20)
        #expect(DiskSpace.enrolments.isTouched(by: space) == enrolments)
        #expect(DiskSpace.deletes.isTouched(by: space) == deletes)
    }

    @Test func aRefusalSaysWhatIsFreeAndWhatIsNeeded() throws {
        let disk = SimulatedDisk(capacity: 100 << 20)
        try disk.createDirectory("/d")
        disk.install("/d/full", [UInt8](repeating: 1, count: 90 << 20))
        #expect(DiskSpace.refusal(at: "/d", enrolling: false, on: disk) == nil)
        let text = try #require(DiskSpace.refusal(at: "/d", enrolling: true, on: disk))
        #expect(text.contains("10 MiB of 100 MiB free") && text.contains("below 15 % or 8 GiB"))
    }
}
