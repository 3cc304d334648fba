@testable import AuditLedger
import FaceModel
import Testing

@Suite struct LedgerMachineTests {
    @Test func onlyWhatIsCommittedIsSigned() throws {
        var generator = Seeded(state: 2)
        var machine = LedgerMachine(recordKey: Sample.recordKey, signer: try Sample.signer())
        let first = machine.leaf(of: try Sample.entry(0), behind: 0, using: &generator)
        #expect(machine.verifierKey.open(machine.checkpoint())?.size == 0)
        #expect(machine.take(first) == .taken && machine.take(first) == .known)
        let root = machine.committedRoot
        #expect(machine.verifierKey.open(machine.checkpoint())?.size == 1)
        let lost = machine.leaf(of: try Sample.entry(1), behind: 0, using: &generator)
        #expect(machine.committedSize == 1 && machine.committedRoot == root && machine.unflushed(1) == nil)
        let next = machine.leaf(of: try Sample.entry(1), behind: 0, using: &generator)
        #expect(next.index == 1 && next != lost)
        #expect(machine.take(next) == .taken)
        guard case .contradicts = machine.take(lost) else {
            Issue.record("two leaves at one place")
            return
        }
        machine.forgetUnflushed()
        #expect(machine.committedSize == 0 && machine.committedRoot == .empty)
    }

    @Test func tilesLeaveWhenTheyAreFullAndNotBefore() throws {
        var ledger = try StoredLedger()
        try ledger.append(255, batch: 5)
        #expect(ledger.machine.tilesToFlush().isEmpty)
        try ledger.append(1)
        #expect(
            ledger.machine.tilesToFlush().map(\.tile)
                == [.privates(0), .checkpoint(0), .hashes(level: 0, number: 0), .entries(0)])
        try ledger.append(300, batch: 7)
        ledger.flush()
        #expect(ledger.machine.flushedSize == 512 && ledger.logged.count == 44)
        #expect(try ledger.fault() == nil)
        #expect(ledger.machine.unflushed(511) == nil && ledger.machine.unflushed(512) == ledger.logged[0])
    }

    @Test func upperTilesBecomeFullWithTheirLastLeaf() {
        #expect(LedgerMachine.hashTiles(endingAt: 255).isEmpty)
        #expect(LedgerMachine.hashTiles(endingAt: 512) == [.hashes(level: 0, number: 1)])
        #expect(
            LedgerMachine.hashTiles(endingAt: 3 * 65_536)
                == [.hashes(level: 0, number: 767), .hashes(level: 1, number: 2)])
        #expect(LedgerMachine.hashTiles(endingAt: 1 << 24).count == 3)
    }

    @Test func recoveryFromTilesAndTailIsTheSameLedger() throws {
        var ledger = try StoredLedger()
        try ledger.append(530, batch: 3)
        let overlapping = ledger.logged
        ledger.flush()
        for tail in [ledger.logged, Array(overlapping[200...])] {
            var again = LedgerMachine(recordKey: Sample.recordKey, signer: try Sample.signer())
            for number: UInt64 in 0..<2 {
                again.recover(bundle: try #require(LedgerBundle.rawEntries(ledger.files[.entries(number)] ?? [])))
            }
            for payload in tail {
                let outcome = again.take(payload)
                #expect(outcome == (payload.index < 512 ? .known : .taken))
            }
            #expect(again.committedRoot == ledger.machine.committedRoot && again.committedSize == 530)
            #expect(again.flushedSize == 512)
            let checkpoint = try #require(again.verifierKey.open(ledger.machine.checkpoint()))
            #expect(again.contradiction(to: checkpoint) == nil)
            var other = checkpoint
            other.root = .empty
            #expect(again.contradiction(to: other) != nil)
            other = checkpoint
            other.size = 531
            #expect(again.contradiction(to: other) != nil)
        }
    }

    @Test func aLogThatContradictsItsTilesIsNotTaken() throws {
        var ledger = try StoredLedger()
        try ledger.append(260)
        var wrong = ledger.logged[17]
        ledger.flush()
        var again = LedgerMachine(recordKey: Sample.recordKey, signer: try Sample.signer())
        again.recover(bundle: try #require(LedgerBundle.rawEntries(ledger.files[.entries(0)] ?? [])))
        wrong.leaf.time = Timestamp(milliseconds: 1)
        guard case .contradicts = again.take(wrong), case .contradicts = again.take(ledger.logged[1]) else {
            Issue.record("taken")
            return
        }
    }

    @Test func proofsOfEveryLeafVerify() throws {
        var ledger = try StoredLedger()
        try ledger.append(300, batch: 9)
        for index: UInt64 in stride(from: 0, to: 300, by: 7) {
            let proof = ledger.machine.proof(of: index, leaf: ledger.logged[Int(index)].leaf.bytes)
            let checkpoint = try #require(ledger.machine.verifierKey.open(proof.checkpoint))
            #expect(checkpoint.size == 300 && checkpoint.root.bytes == proof.rootHash)
            #expect(
                MerkleProof.verifyInclusion(
                    leaf: .leaf(proof.leaf), index: index, size: 300, path: proof.path.map { MerkleHash($0) },
                    root: checkpoint.root))
        }
    }
}

@Suite struct LedgerVerifierTests {
    /// 260 leaves: one bundle, four leaves in the log.
    private func small(flushed: Bool = true) throws -> StoredLedger {
        var ledger = try StoredLedger()
        try ledger.append(260)
        if flushed { ledger.flush() }
        return ledger
    }

    @Test func aWholeLedgerHasNoFault() throws {
        let ledger = try small()
        #expect(try ledger.fault(newest: ledger.machine.checkpoint()) == nil)
        #expect(try ledger.fault(recordKey: nil) == nil)
    }

    /// Keyless: bundle, hash tile and checkpoints say which leaf.
    @Test func aFlippedByteOfABundleNamesItsLeaf() throws {
        let ledger = try small()
        var generator = Seeded(state: 4)
        for leaf: UInt64 in stride(from: 0, to: 256, by: 9) {
            for start in [0, 1, 2, .random(in: 3..<74, using: &generator)] {
                var edited = ledger
                edited.files[.entries(0)]?[Int(leaf) * 74 + start] ^= 0x20
                #expect(try edited.fault(recordKey: nil)?.leaf == leaf)
            }
        }
    }

    @Test func aFlippedHashIsNotBlamedOnItsLeaf() throws {
        let ledger = try small()
        for leaf in stride(from: 0, to: 256, by: 31) {
            var edited = ledger
            edited.files[.hashes(level: 0, number: 0)]?[leaf * 32 + leaf % 32] ^= 1
            let fault = try edited.fault(recordKey: nil)
            #expect(fault?.place == .file(path: "tile/0/000"))
            #expect(fault?.description.contains("leaf \(leaf)") == true)
        }
    }

    @Test func aFlippedPrivateRecordNamesItsLeafWithoutAKey() throws {
        let ledger = try small()
        var generator = Seeded(state: 5)
        var start = 0
        for leaf in 0..<256 {
            let items = try #require(LedgerBundle.rawPrivates(ledger.files[.privates(0)] ?? []))
            defer { start += 12 + items[leaf].sealed.count }
            guard leaf.isMultiple(of: 16) else { continue }
            var edited = ledger
            edited.files[.privates(0)]?[start + .random(in: 4..<12 + items[leaf].sealed.count, using: &generator)] ^= 1
            #expect(try edited.fault(recordKey: nil)?.leaf == UInt64(leaf))
        }
    }

    /// An editor who rewrites the leaf and its hash, but cannot sign: the private record gives the leaf away; without
    /// the key the range between two signed checkpoints is named.
    @Test func anEditorWhoRehashesIsFound() throws {
        var edited = try small()
        var leaf = try #require(Leaf(bytes: Array((edited.files[.entries(0)] ?? [])[(40 * 74 + 2)..<(41 * 74)])))
        leaf.time = Timestamp(milliseconds: 1)
        edited.files[.entries(0)]?.replaceSubrange((40 * 74 + 2)..<(41 * 74), with: leaf.bytes)
        edited.files[.hashes(level: 0, number: 0)]?.replaceSubrange(
            40 * 32..<41 * 32, with: MerkleHash.leaf(leaf.bytes).bytes)
        #expect(try edited.fault()?.leaf == 40)
        #expect(try edited.fault(recordKey: nil)?.place == .leaves(0..<256))
    }

    @Test func anEditorOfTheLogIsNarrowedByTheCheckpoints() throws {
        var edited = try small(flushed: false)
        edited.logged[120].leaf.time = Timestamp(milliseconds: 1)
        #expect(try edited.fault()?.leaf == 120)
        #expect(try edited.fault(recordKey: nil)?.place == .leaves(120..<122))
    }

    /// Whoever holds the record key can re-seal, but not re-sign.
    @Test func aForgedRecordIsFoundByTheTree() throws {
        var edited = try small(flushed: false)
        var generator = Seeded(state: 8)
        let forged = SealedRecord.make(
            .intent(try Sample.intent(60, caseNumber: "another case")), recordKey: Sample.recordKey, using: &generator)
        edited.logged[120] = LeafPayload(index: 120, leaf: forged.leaf, sealed: forged.sealed)
        #expect(try edited.fault()?.place == .leaves(120..<122))
    }

    @Test func aCutTailIsFoundByTheNewestCheckpoint() throws {
        for kept in [0, 1, 3] {
            var edited = try small()
            let newest = edited.machine.checkpoint()
            edited.logged.removeLast(4 - kept)
            edited.notes.removeAll { $0.after > kept }
            let fault = try edited.fault(newest: newest)
            #expect(fault?.place == .leaves(256 + UInt64(kept)..<260))
            #expect(try edited.fault() == nil, "without a checkpoint kept elsewhere a cut tail cannot be seen")
        }
    }

    @Test func aMissingLeafInTheMiddleIsNamed() throws {
        var edited = try small()
        edited.logged.remove(at: 1)
        #expect(try edited.fault()?.place == .leaves(257..<258))
    }

    @Test func aDestroyedRecordLeavesTheTreeWhole() throws {
        var ledger = try small()
        let destroyed: [UInt8]? = LedgerBundle.destroying(7, in: ledger.files[.privates(0)] ?? [])
        let bundle: [UInt8] = try #require(destroyed)
        ledger.files[.privates(0)] = bundle
        #expect(try ledger.fault(newest: ledger.machine.checkpoint()) == nil)
        let leaf = try #require(Leaf(bytes: Array((ledger.files[.entries(0)] ?? [])[(7 * 74 + 2)..<(8 * 74)])))
        let item = try #require(LedgerBundle.rawPrivates(ledger.files[.privates(0)] ?? []))[7]
        #expect(SealedRecord.open(item.sealed, leaf: leaf, recordKey: Sample.recordKey) == .destroyed)
    }

    @Test func anotherLedgersCheckpointIsNotTaken() throws {
        let ledger = try small()
        let note = try Sample.signer(seed: 99).sign(size: 260, root: ledger.machine.committedRoot)
        #expect(try ledger.fault(newest: note)?.place == .file(path: "checkpoint"))
    }
}
