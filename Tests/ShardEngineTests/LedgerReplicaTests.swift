import AuditLedger
import FaceModel
@testable import ShardEngine
import SimulatedDisk
import StorageIO
import Testing

@Suite struct LedgerReplicaTests {
    @Test func whatWasAppendedIsToldWithItsProof() async throws {
        let ledger = await LedgerSample.open(SimulatedDisk())
        for number: UInt64 in 0..<20 {
            #expect(try await LedgerSample.append(number, to: ledger) == [2 * number, 2 * number + 1])
        }
        let status = try await ledger.status()
        #expect(status.treeSize == 40 && status.refusing == nil)
        let key = try #require(VerifierKey(text: status.verifierKey))
        let record = try #require(try await ledger.record(of: LedgerSample.search(7), tenant: .embedded))
        #expect(try record.intent == LedgerSample.intent(7))
        #expect(record.result == LedgerSample.result(7))
        #expect(record.leaves.map(\.index) == [14, 15])
        for proof in record.leaves { #expect(Self.holds(proof, key)) }
        #expect(try await ledger.record(of: LedgerSample.search(7), tenant: .cluster) == nil)
        #expect(try await ledger.record(of: LedgerSample.search(99), tenant: .embedded) == nil)
        await ledger.stop()
        await #expect(throws: LedgerError.self) { try await LedgerSample.append(21, to: ledger) }
    }

    @Test func manyCallersAtOnceGetDifferentLeaves() async throws {
        let disk = SimulatedDisk()
        let ledger = await LedgerSample.open(disk)
        let before = disk.operations
        let indexes = try await withThrowingTaskGroup(of: UInt64.self) { group in
            for number: UInt64 in 0..<200 {
                group.addTask { try await ledger.append(.intent(try LedgerSample.intent(number))) }
            }
            return try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
        }
        #expect(indexes == Set(0..<200))
        await ledger.stop()
        #expect(disk.operations > before)
        #expect(LedgerSample.verify(disk).fault == nil && LedgerSample.verify(disk).leaves == 200)
    }

    @Test func fullBundlesLeaveTheLogAndStayReadable() async throws {
        let disk = SimulatedDisk()
        var ledger = await LedgerSample.open(disk)
        for number: UInt64 in 0..<300 { try await LedgerSample.append(number, to: ledger) }
        await ledger.stop()
        for path in ["tile/entries/001", "tile/private/000", "tile/0/001", "tile/checkpoint/001", "checkpoint"] {
            #expect(disk.contents(LedgerSample.directory + "/" + path) != nil, "\(path)")
        }
        let report = LedgerSample.verify(disk)
        #expect(report.fault == nil && report.leaves == 600 && report.bundles == 2 && report.provenSize == 600)
        #expect(report.privatesOpened == 600 && report.notes.isEmpty)
        ledger = await LedgerSample.open(disk)
        #expect(try await ledger.status().treeSize == 600)
        #expect(try await ledger.status().rootHash == report.root)
        for number: UInt64 in [0, 127, 128, 255, 256, 299] {
            let record = try #require(try await ledger.record(of: LedgerSample.search(number), tenant: .embedded))
            #expect(try record.intent == LedgerSample.intent(number) && record.result == LedgerSample.result(number))
        }
        #expect(try await LedgerSample.append(300, to: ledger) == [600, 601])
        await ledger.stop()
    }

    @Test func aDestroyedRecordLeavesTreeAndLedgerWhole() async throws {
        let disk = SimulatedDisk()
        var ledger = await LedgerSample.open(disk)
        for number: UInt64 in 0..<128 { try await LedgerSample.append(number, to: ledger) }
        await ledger.stop()
        let path = LedgerSample.directory + "/tile/private/000"
        let bundle = try #require(disk.contents(path))
        disk.install(path, try #require(LedgerBundle.destroying(14, in: bundle)))
        let report = LedgerSample.verify(disk)
        #expect(report.fault == nil && report.privatesDestroyed == 1 && report.privatesOpened == 255)
        ledger = await LedgerSample.open(disk)
        let record = try #require(try await ledger.record(of: LedgerSample.search(7), tenant: .embedded))
        #expect(record.intent == nil && record.result == LedgerSample.result(7) && record.leaves.count == 2)
        await ledger.stop()
    }

    @Test func aFullDiskRefusesAndRecoversAlone() async throws {
        let disk = SimulatedDisk()
        let ledger = await LedgerSample.open(disk)
        try await LedgerSample.append(0, to: ledger)
        disk.setCapacity(disk.bytesInUse)
        var (number, refused) = (UInt64(1), "")
        while refused.isEmpty, number < 5_000 {
            do throws(LedgerError) {
                _ = try await ledger.append(.result(LedgerSample.largeResult(number)))
                number += 1
            } catch {
                #expect(error == .refusing(reason: error.reason))
                refused = error.reason
            }
        }
        #expect(refused.contains("no space"))
        // The writer tries again each second with a checkpoint, which may still fit where a long list does not.
        let status = try await ledger.status().refusing
        #expect(status == nil || status?.contains("no space") == true)
        // What was searched stays readable.
        #expect(try await ledger.record(of: LedgerSample.search(0), tenant: .embedded) != nil)
        disk.setCapacity(.max)
        try await LedgerSample.append(9_999, to: ledger)
        #expect(try await ledger.status().refusing == nil)
        await ledger.stop()
        #expect(LedgerSample.verify(disk).fault == nil)
    }

    @Test func afterAFailedSyncNothingMoreIsTaken() async throws {
        let disk = SimulatedDisk()
        let ledger = await LedgerSample.open(disk)
        try await LedgerSample.append(0, to: ledger)
        disk.failNextSync()
        await #expect(throws: LedgerError.self) {
            // The idle checkpoint may meet the failing sync first; then this append is refused all the same.
            try await LedgerSample.append(1, to: ledger)
        }
        await #expect(throws: LedgerError.self) { try await LedgerSample.append(2, to: ledger) }
        #expect(try await ledger.status().refusing != nil)
        await ledger.stop()
        let again = await LedgerSample.open(disk)
        #expect(try await again.record(of: LedgerSample.search(0), tenant: .embedded)?.leaves.count == 2)
        await again.stop()
    }

    @Test func aDamagedLedgerOpensAndSaysWhy() async throws {
        let disk = SimulatedDisk()
        let ledger = await LedgerSample.open(disk)
        for number: UInt64 in 0..<3 { try await LedgerSample.append(number, to: ledger) }
        await ledger.stop()
        for path in [LedgerSample.directory + "/checkpoint", LedgerSample.directory + "/verifier-key"] {
            let broken = disk.copy()
            broken.flip(path, at: 45, mask: 1)
            let damaged = await LedgerSample.open(broken)
            await #expect(throws: LedgerError.self) { try await LedgerSample.append(9, to: damaged) }
            await #expect(throws: LedgerError.self) {
                try await damaged.record(of: LedgerSample.search(0), tenant: .embedded)
            }
            #expect(try await damaged.status().refusing?.isEmpty == false)
            await damaged.stop()
        }
    }

    @Test func withoutItsSigningKeyALedgerIsNotGoneOnWith() async throws {
        let disk = SimulatedDisk()
        await LedgerSample.open(disk).stop()
        for text in [nil, "garbage", "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"] {
            let other = disk.copy()
            try other.remove(LedgerSample.settings.signingKeyPath)
            if let text { other.install(LedgerSample.settings.signingKeyPath, Array(text.utf8)) }
            let reason = try await LedgerSample.open(other).status().refusing
            #expect(reason?.contains(LedgerSample.settings.signingKeyPath) == true)
        }
        let other = disk.copy()
        var generator = SplitMix(state: 1)
        let stranger = try #require(CheckpointSigner.random(name: LedgerSample.settings.name, using: &generator))
        other.install(LedgerSample.settings.signingKeyPath, Array(stranger.keyFile.utf8))
        #expect(try await LedgerSample.open(other).status().refusing?.contains("is not the key") == true)
    }

    @Test func consistencyProofsHold() async throws {
        let ledger = await LedgerSample.open(SimulatedDisk())
        var roots: [UInt64: [UInt8]] = [:]
        for number: UInt64 in 0..<9 {
            try await LedgerSample.append(number, to: ledger)
            let status = try await ledger.status()
            roots[status.treeSize] = status.rootHash
        }
        let now = try await ledger.status()
        for (size, root) in roots {
            let proof = try #require(try await ledger.consistencyProof(from: size))
            #expect(
                MerkleProof.verifyConsistency(
                    from: size, root: MerkleHash(root), to: now.treeSize, root: MerkleHash(now.rootHash),
                    proof: proof.map { MerkleHash($0) }))
        }
        #expect(try await ledger.consistencyProof(from: 0) == nil)
        #expect(try await ledger.consistencyProof(from: 19) == nil)
        await ledger.stop()
    }

    private static func holds(_ proof: LeafProof, _ key: VerifierKey) -> Bool {
        guard let checkpoint = key.open(proof.checkpoint), checkpoint.size == proof.treeSize,
            checkpoint.root.bytes == proof.rootHash
        else { return false }
        return MerkleProof.verifyInclusion(
            leaf: .leaf(proof.leaf), index: proof.index, size: proof.treeSize, path: proof.path.map { MerkleHash($0) },
            root: checkpoint.root)
    }
}
