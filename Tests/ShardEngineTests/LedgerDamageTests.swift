import AuditLedger
import FaceModel
@testable import ShardEngine
import SimulatedDisk
import StorageIO
import Testing
import WriteAheadLog

@Suite struct LedgerDamageTests {
    /// A stopped ledger of `searches` searches.
    private static func stored(_ searches: UInt64) async throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        let ledger = await LedgerSample.open(disk)
        for number in 0..<searches { try await LedgerSample.append(number, to: ledger) }
        await ledger.stop()
        return disk.copy()
    }

    /// Every byte of the log that was ever written, every byte of checkpoint and key, and places in the log's zeros.
    @Test func everyFlippedByteOfASmallLedgerIsReported() async throws {
        let disk = try await Self.stored(2)
        #expect(LedgerSample.verify(disk).fault == nil)
        let start = LedgerSample.directory + "/"
        // What the copies have promised each other proves nothing about searches; `ReplicaMemoryFileTests` flip its bytes.
        for path in disk.paths where path.hasPrefix(start) && path != start + "replica" {
            let bytes = try #require(disk.contents(path))
            let used = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
            let zeros = Array(stride(from: used, to: bytes.count, by: 99_991))
            for offset in Array(0..<used) + zeros {
                disk.flip(path, at: offset, mask: 0x04)
                let report = LedgerSample.verify(disk, key: nil)
                #expect(report.fault != nil || !report.notes.isEmpty, "\(path) byte \(offset)")
                // A note alone is enough only where nothing acknowledged stands: behind the last proven record.
                if report.fault == nil { #expect(report.provenSize == 4, "\(path) byte \(offset)") }
                disk.flip(path, at: offset, mask: 0x04)
            }
        }
        #expect(LedgerSample.verify(disk).fault == nil)
    }

    @Test func aFlippedByteInALeafsRecordNamesTheLeaf() async throws {
        let disk = try await Self.stored(4)
        let (log, offsets) = (try #require(disk.logPaths.first), try Self.leafOffsets(disk))
        for index: UInt64 in 0..<8 {
            let payload = try #require(offsets[index])
            for offset in [payload + 16 + 40, payload + 16 + 71, payload + 90, payload + 200] {
                let broken = disk.copy()
                broken.flip(log, at: offset)
                let fault = try #require(LedgerSample.verify(broken, key: nil).fault)
                #expect(fault.place == .leaf(index, search: LedgerSample.search(index / 2)), "\(fault)")
                let reopened = await LedgerSample.open(broken)
                await #expect(throws: LedgerError.self) { try await LedgerSample.append(9, to: reopened) }
                await reopened.stop()
            }
        }
    }

    /// The editor knows the log's format and writes it anew with every checksum right.
    @Test func anEditorWhoRecomputesChecksumsIsCaughtByTheCheckpoint() async throws {
        let disk = try await Self.stored(4)
        for index: UInt64 in 0..<8 {
            for key in [nil, LedgerSample.recordKey] {
                let edited = try Self.rewritten(disk) { payload in
                    guard payload.index == index else { return payload.bytes }
                    var bytes = payload.bytes
                    bytes[16 + 33] ^= 1
                    return bytes
                }
                let fault = try #require(LedgerSample.verify(edited, key: key).fault)
                switch fault.place {
                case .leaf(let named, _): #expect(named == index)
                case .leaves(let range): #expect(range.contains(index) && range.count <= 2, "\(fault)")
                case .file: Issue.record("\(fault)")
                }
            }
        }
    }

    @Test func aCutTailIsNamed() async throws {
        let disk = try await Self.stored(4)
        for kept: UInt64 in 0..<8 {
            let cut = try Self.rewritten(disk, dropCheckpoints: true) { $0.index < kept ? $0.bytes : nil }
            let fault = try #require(LedgerSample.verify(cut).fault)
            #expect(fault.place == .leaves(kept..<8), "\(fault)")
            let reopened = await LedgerSample.open(cut)
            #expect(try await reopened.status().refusing != nil)
            await reopened.stop()
            // With the checkpoint file gone too, only a checkpoint kept elsewhere tells.
            let kept = String(decoding: disk.contents(LedgerSample.directory + "/checkpoint") ?? [], as: UTF8.self)
            try cut.remove(LedgerSample.directory + "/checkpoint")
            #expect(LedgerSample.verify(cut).fault == nil)
            let witnessed = LedgerInspection.verify(
                directory: LedgerSample.directory, recordKey: nil, witnessed: [kept], on: cut)
            #expect(witnessed.fault != nil)
        }
    }

    @Test func aFlippedByteOfAnyTileIsReported() async throws {
        let disk = try await Self.stored(128)
        #expect(LedgerSample.verify(disk).fault == nil)
        var random = SplitMix(state: 6)
        for path in disk.paths where path.contains("/tile/") {
            let count = try #require(disk.contents(path)).count
            for _ in 0..<25 {
                let offset = Int.random(in: 0..<count, using: &random)
                disk.flip(path, at: offset, mask: 0x40)
                let fault = LedgerSample.verify(disk, key: nil).fault
                #expect(fault != nil, "\(path) byte \(offset)")
                if path.contains("entries") { #expect(fault?.description.hasPrefix("leaf \(offset / 74)") == true) }
                disk.flip(path, at: offset, mask: 0x40)
            }
            let broken = disk.copy()
            try broken.remove(path)
            #expect(LedgerSample.verify(broken, key: nil).fault != nil || path.contains("entries"), "\(path) removed")
        }
    }

    /// Where each leaf's payload begins in the only log segment with records.
    private static func leafOffsets(_ disk: SimulatedDisk) throws -> [UInt64: Int] {
        let path = try #require(disk.logPaths.first)
        let bytes = try #require(disk.contents(path))
        var offsets: [UInt64: Int] = [:]
        _ = try Log.inspect(directory: LedgerSample.directory + "/wal", on: disk) { record in
            guard record.type == .leaf, let payload = LeafPayload(bytes: record.payload) else { return }
            offsets[payload.index] = bytes.firstRange(of: record.payload)?.lowerBound
        }
        return offsets
    }

    /// The same ledger with a log written anew: leaves as `change` gives them (nil: left out).
    private static func rewritten(
        _ disk: SimulatedDisk, dropCheckpoints: Bool = false, _ change: (LeafPayload) -> [UInt8]?
    ) throws -> SimulatedDisk {
        var entries: [LogEntry] = []
        _ = try Log.inspect(directory: LedgerSample.directory + "/wal", on: disk) { record in
            var payload: [UInt8]? = record.payload
            if let leaf = LeafPayload(bytes: record.payload), record.type == .leaf { payload = change(leaf) }
            if record.type == .signedCheckpoint, dropCheckpoints { payload = nil }
            if let payload { entries.append(LogEntry(type: record.type, token: record.token, payload: payload)) }
        }
        let edited = disk.copy()
        for path in edited.logPaths { try edited.remove(path) }
        let cluster = LedgerSample.settings.cluster
        let identity = LogIdentity(
            tenant: .cluster, collection: CollectionUID(cluster), shard: ShardID(cluster),
            replica: ReplicaID(cluster), generation: Generation(0))
        let (log, _) = try Log.open(directory: LedgerSample.directory + "/wal", identity: identity, on: edited)
        for entry in entries {
            _ = try log.append([entry], epoch: Epoch(1))
            try log.synchronize()
        }
        return edited
    }
}
