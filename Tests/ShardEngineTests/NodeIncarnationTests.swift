import ClusterModel
import FaceModel
import ShardEngine
import SimulatedDisk
import StorageIO
import Synchronization
import Testing

@Suite struct NodeIncarnationTests {
    private static let path = "/data/incarnation"

    private func disk() throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        try disk.createDirectory("/data")
        return disk
    }

    private func start(
        _ disk: SimulatedDisk, _ store: IncarnationStore, as node: NodeID = .embedded
    ) async throws(NodeIncarnationError) -> UInt64 {
        try await NodeIncarnation.raise(node: node, directory: "/data", files: disk, controlPlane: store).value
    }

    @Test func eachStartIsCounted() async throws {
        let (disk, store) = (try disk(), IncarnationStore())
        for count in 1...5 {
            #expect(try await start(disk, store) == UInt64(count))
            #expect(store.incarnation == UInt64(count))
        }
    }

    /// A directory that was rolled back can start as often as it likes: it never gets above the register.
    @Test func anOlderCopyOfTheDirectoryIsRefused() async throws {
        let (disk, store) = (try disk(), IncarnationStore())
        for _ in 0..<3 { _ = try await start(disk, store) }
        let copy = try #require(disk.contents(Self.path))
        _ = try await start(disk, store)
        disk.install(Self.path, copy)
        for _ in 0..<3 {
            await #expect(
                throws: NodeIncarnationError.rolledBack(
                    directory: "/data", found: Incarnation(3), register: Incarnation(4))
            ) { try await start(disk, store) }
        }
        #expect(store.incarnation == 4 && disk.contents(Self.path) == copy)
    }

    @Test func anotherDiskIsRefused() async throws {
        let store = IncarnationStore()
        _ = try await start(try disk(), store)
        let empty = try disk()
        await #expect(
            throws: NodeIncarnationError.rolledBack(
                directory: "/data", found: Incarnation(0), register: Incarnation(1))
        ) { try await start(empty, store) }
        #expect(empty.paths.isEmpty)
    }

    @Test func aStoreRestoredFromABackupIsOvertaken() async throws {
        let (disk, store) = (try disk(), IncarnationStore())
        for _ in 0..<7 { _ = try await start(disk, store) }
        for restored in [2, nil] as [UInt64?] {
            let before = try #require(store.incarnation)
            store.set(restored)
            #expect(try await start(disk, store) == before + 1)
        }
    }

    /// The store fails before the transaction or behind it: the directory is ahead, and the next start goes on from it.
    @Test(arguments: [IncarnationStore.Fault.beforeRead, .beforeCommit, .afterCommit])
    func aStartThatFailsMayBeRepeated(fault: IncarnationStore.Fault) async throws {
        let (disk, store) = (try disk(), IncarnationStore())
        _ = try await start(disk, store)
        var last: UInt64 = 1
        for _ in 0..<3 {
            store.fail(fault)
            await #expect(throws: NodeIncarnationError.self) { try await start(disk, store) }
            let count = try await start(disk, store)
            #expect(count > last && store.incarnation == count)
            last = count
        }
    }

    /// Another process of the same name wins the race, then always.
    @Test func aLostRaceIsRunAgainButNotForEver() async throws {
        let (disk, store) = (try disk(), IncarnationStore())
        store.rivals(1)
        #expect(try await start(disk, store) == 2)
        #expect(store.incarnation == 2)
        store.rivals(.max)
        await #expect(throws: NodeIncarnationError.contested(node: .embedded)) { try await start(disk, store) }
        store.rivals(0)
        #expect(try await start(disk, store) > 16)
    }

    /// Power fails at every operation of a start: the count never goes back, and the directory is never refused.
    @Test func aCrashAtAnyOperationIsOnlyAStartThatFailed() async throws {
        for operation in 1...8 {
            for seed in 0..<8 {
                let (disk, store) = (try disk(), IncarnationStore())
                for _ in 0..<2 { _ = try await start(disk, store) }
                disk.crash(atOperation: disk.operations + operation)
                _ = try? await start(disk, store)
                disk.restart(seed: UInt64(operation * 16 + seed))
                let before = try #require(store.incarnation)
                let count = try await start(disk, store)
                #expect(count > before && store.incarnation == count, "operation \(operation), seed \(seed)")
            }
        }
    }

    @Test func aFileThatIsNotWhatWasWrittenIsNeverACount() async throws {
        let (disk, store) = (try disk(), IncarnationStore())
        _ = try await start(disk, store)
        let golden = try #require(disk.contents(Self.path))
        #expect(golden.count == 30 + NodeID.embedded.text.utf8.count)
        for bit in 0..<golden.count * 8 {
            disk.flip(Self.path, at: bit / 8, mask: 1 << UInt8(bit % 8))
            await #expect(throws: NodeIncarnationError.self, "bit \(bit)") { try await start(disk, store) }
            disk.install(Self.path, golden)
        }
        for length in 0..<golden.count {
            disk.install(Self.path, Array(golden[..<length]))
            await #expect(throws: NodeIncarnationError.self, "cut at \(length)") { try await start(disk, store) }
        }
        disk.install(Self.path, golden)
        #expect(try await start(disk, store) == 2)
    }

    @Test func aNewerFormatAndAnotherNodeAreNamed() async throws {
        let (disk, store) = (try disk(), IncarnationStore())
        _ = try await start(disk, store)
        let other = try #require(NodeID("n-2"))
        await #expect(throws: NodeIncarnationError.otherNode(directory: "/data", found: "embedded")) {
            try await start(disk, IncarnationStore(), as: other)
        }
        var bytes = try #require(disk.contents(Self.path)).dropLast(4)
        bytes[8] = 2
        var writer = ByteWriter()
        writer.put(bytes: bytes)
        writer.put(CRC32C.checksum(writer.bytes))
        disk.install(Self.path, writer.bytes)
        await #expect(throws: NodeIncarnationError.newerFormat(path: Self.path, found: 2, supported: 1)) {
            try await start(disk, store)
        }
    }
}

/// A control plane of one register.
final class IncarnationStore: ControlPlane {
    enum Fault: CaseIterable {
        case beforeRead, beforeCommit, afterCommit
    }

    private struct State {
        var register: Register?
        var revision: Int64 = 0
        var fault: Fault?
        /// How many transactions come too late.
        var rivals = 0

        mutating func put(_ value: RegisterValue) {
            revision += 1
            register = Register(value: value, revision: Revision(revision))
        }

        mutating func meets(_ place: Fault) -> Bool {
            guard fault == place else { return false }
            fault = nil
            return true
        }

        var incarnation: IncarnationRegister? {
            if case .incarnation(let value)? = register?.value { value } else { nil }
        }
    }

    private static let down = ControlPlaneError.unavailable(reason: "down", outcomeUnknown: true)
    private let state = Mutex(State())

    var incarnation: UInt64? { state.withLock { $0.incarnation?.incarnation.value } }
    func fail(_ fault: Fault) { state.withLock { $0.fault = fault } }
    func rivals(_ count: Int) { state.withLock { $0.rivals = count } }

    func set(_ incarnation: UInt64?) {
        state.withLock { state in
            guard let incarnation else { return state.register = nil }
            state.put(.incarnation(IncarnationRegister(node: .embedded, incarnation: Incarnation(incarnation))))
        }
    }

    func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        let answer: Result<Register?, ControlPlaneError> = state.withLock { state in
            if state.meets(.beforeRead) { return .failure(Self.down) }
            return .success(state.register?.value.key == key ? state.register : nil)
        }
        return try answer.get()
    }

    func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome {
        guard case .put(let value, let expected)? = transaction.changes.first else { throw Self.down }
        let answer: Result<TransactionOutcome, ControlPlaneError> = state.withLock { state in
            if state.meets(.beforeCommit) { return .failure(Self.down) }
            if state.rivals > 0 {
                // As far as this start, and no further: its directory is not older than that.
                state.rivals -= 1
                state.put(value)
            }
            guard (state.register?.revision ?? .absent) == expected else { return .success(.conflict(value.key)) }
            state.put(value)
            if state.meets(.afterCommit) { return .failure(Self.down) }
            return .success(.committed(Revision(state.revision)))
        }
        return try answer.get()
    }

    func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] { throw Self.down }
    func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID { throw Self.down }
    func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool { throw Self.down }
    func end(_ lease: LeaseID) async throws(ControlPlaneError) { throw Self.down }
    func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot { throw Self.down }
    func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error> {
        AsyncThrowingStream { $0.finish(throwing: Self.down) }
    }
}
