import FaceModel
import ClusterModel
import Testing
import VectorSearch
import WriteAheadLog

@testable import ShardEngine

/// Event scripts: what the machine asks of its driver, and when it answers.
@Suite struct ShardMachineTests {
    private let keys = FaceIdentityKeys(idKey: [UInt8](repeating: 7, count: 32), modelVersion: "1.0")

    private func face(_ value: Float, name: String? = nil) -> KeyedFace {
        var values = [Float](repeating: 0, count: 64)
        values[0] = value
        let face = NewFace(
            vector: RotatedVector(rotated: values), externalImageID: name.flatMap(ExternalImageID.init),
            record: FaceRecord(imageID: nil, detail: nil), token: .none)
        return KeyedFace(face: face, key: keys.key(of: face))
    }

    private func machine() -> ShardMachine {
        ShardMachine(identity: keys, tree: DatedTree(roots: [.root]), lastIndex: .zero)
    }

    private func enrol(_ id: UInt64, _ faces: [KeyedFace]) -> Proposal {
        Proposal(id: ProposalID(value: id), roots: [.root], request: .enrol(faces))
    }

    private func delete(_ id: UInt64, _ faces: [FaceID]) -> Proposal {
        Proposal(id: ProposalID(value: id), roots: [.root], request: .delete(faces, token: .none))
    }

    /// Runs a batch to its answers, as a disk that works would.
    private func finish(_ machine: inout ShardMachine, _ effects: [ShardMachine.Effect]) -> [ShardMachine.Effect] {
        guard case .append(let entries)? = effects.first else { return effects }
        _ = machine.step(.durable(LogIndex(UInt64(entries.count))))
        return machine.step(.applied)
    }

    @Test func nothingIsAnsweredBeforeItIsDurableAndApplied() {
        var machine = machine()
        let appended = machine.step(.proposed([enrol(1, [face(1)])], known: KnownFaces()))
        #expect(appended.count == 1)
        guard case .append(let entries)? = appended.first else { return #expect(Bool(false), "no append") }
        #expect(entries.map(\.type) == [.put])
        guard case .apply(let changes, through: LogIndex(1))? = machine.step(.durable(LogIndex(1))).first else {
            return #expect(Bool(false), "no apply")
        }
        #expect(changes.count == 1)
        #expect(
            machine.step(.applied) == [
                .answer(ProposalID(value: 1), .enrolled([keys.faceID(key: face(1).key, count: 0)], at: LogIndex(1)))
            ])
        #expect(machine.owesConfirmation)
    }

    @Test func aFaceEnrolledTwiceHasOneIdAndOneRecord() {
        var machine = machine()
        let effects = machine.step(.proposed([enrol(1, [face(1)]), enrol(2, [face(1)])], known: KnownFaces()))
        guard case .append(let entries)? = effects.first else { return #expect(Bool(false), "no append") }
        #expect(entries.count == 1)
        let id = keys.faceID(key: face(1).key, count: 0)
        #expect(
            finish(&machine, effects) == [
                .answer(ProposalID(value: 1), .enrolled([id], at: LogIndex(1))),
                .answer(ProposalID(value: 2), .enrolled([id], at: LogIndex(1))),
            ])
    }

    @Test func anotherNameIsAnotherFace() {
        #expect(face(1, name: "a").key != face(1, name: "b").key)
        #expect(face(1, name: "a").key != face(1).key)
        #expect(face(1).key != face(2).key)
    }

    @Test func aKnownLiveFaceWritesNothing() {
        var machine = machine()
        var known = KnownFaces()
        known.keys[face(1).key] = FaceKeyState(count: 3, live: true)
        let id = keys.faceID(key: face(1).key, count: 3)
        #expect(
            machine.step(.proposed([enrol(1, [face(1)])], known: known))
                == [.answer(ProposalID(value: 1), .enrolled([id], at: .zero))])
    }

    @Test func deletedAndEnrolledAgainTheFaceHasANewId() {
        var machine = machine()
        let old = keys.faceID(key: face(1).key, count: 0)
        var known = KnownFaces()
        known.keys[face(1).key] = FaceKeyState(count: 0, live: true)
        known.live[old] = face(1).key
        let effects = machine.step(
            .proposed([delete(1, [old, FaceID(Bits128(high: 9, low: 9))]), enrol(2, [face(1)])], known: known))
        let new = keys.faceID(key: face(1).key, count: 1)
        #expect(new != old)
        #expect(
            finish(&machine, effects) == [
                .answer(
                    ProposalID(value: 1),
                    .deleted([old], notFound: [FaceID(Bits128(high: 9, low: 9))], at: LogIndex(2))),
                .answer(ProposalID(value: 2), .enrolled([new], at: LogIndex(2))),
            ])
    }

    @Test func aFullDiskRefusesTheBatchAndTheNextOneGoesOn() {
        var machine = machine()
        _ = machine.step(.proposed([enrol(1, [face(1)])], known: KnownFaces()))
        #expect(
            machine.step(.refused(reason: "full")) == [.answer(ProposalID(value: 1), .refused(reason: "full"))])
        let effects = machine.step(.proposed([enrol(2, [face(1)])], known: KnownFaces()))
        #expect(finish(&machine, effects).count == 1)
    }

    @Test func aConfirmationThatFoundNoSpaceIsStillOwed() {
        var machine = machine()
        _ = finish(&machine, machine.step(.proposed([enrol(1, [face(1)])], known: KnownFaces())))
        _ = machine.step(.idle)
        _ = machine.step(.refused(reason: "full"))
        #expect(machine.owesConfirmation)
        _ = machine.step(.proposed([enrol(2, [face(2)])], known: KnownFaces()))
        _ = machine.step(.refused(reason: "full"))
        #expect(machine.owesConfirmation)
    }

    @Test func whoBelievesInOtherRootsIsToldTheRightOnesInHisTurn() {
        var machine = ShardMachine(identity: keys, tree: DatedTree(roots: [LeafID(3)]), lastIndex: .zero)
        let mistaken = Proposal(id: ProposalID(value: 1), roots: [.root], request: .enrol([face(1)]))
        let right = Proposal(id: ProposalID(value: 2), roots: [LeafID(3)], request: .enrol([face(2)]))
        let effects = machine.step(.proposed([mistaken, right], known: KnownFaces()))
        guard case .append(let entries)? = effects.first else { return #expect(Bool(false), "no append") }
        #expect(entries.count == 1)
        guard case .apply(let changes, _)? = machine.step(.durable(LogIndex(1))).first,
            case .put(let put)? = changes.first
        else { return #expect(Bool(false), "no put") }
        #expect(put.leaf == LeafID(3))
        let id = keys.faceID(key: face(2).key, count: 0)
        #expect(
            machine.step(.applied) == [
                .answer(ProposalID(value: 1), .wrongOwner([LeafID(3)])),
                .answer(ProposalID(value: 2), .enrolled([id], at: LogIndex(1))),
            ])
    }

    private func split(_ parent: LeafID, _ first: UInt32) -> BucketSplit {
        var towards = [Float](repeating: 0, count: 64)
        towards[0] = 1
        let away = RotatedVector(rotated: towards.map { -$0 })
        return BucketSplit(
            parent: parent, children: (LeafID(first), LeafID(first + 1)),
            centroids: (RotatedVector(rotated: towards), away))
    }

    private func leaf(_ machine: inout ShardMachine, of face: KeyedFace, _ id: UInt64, at index: UInt64) -> LeafID? {
        _ = machine.step(.proposed([enrol(id, [face])], known: KnownFaces()))
        guard case .apply(let changes, _)? = machine.step(.durable(LogIndex(index))).first,
            case .put(let put)? = changes.first
        else { return nil }
        _ = machine.step(.applied)
        return put.leaf
    }

    @Test func facesArePutWhereDescentLeadsOnceASplitIsDurable() {
        var machine = machine()
        #expect(machine.step(.divided([])).isEmpty)
        #expect(leaf(&machine, of: face(1), 1, at: 1) == .root)
        let splits = [split(.root, 256), split(LeafID(257), 258)]
        guard case .append(let entries)? = machine.step(.divided(splits)).first else {
            return #expect(Bool(false), "no append")
        }
        #expect(entries.map(\.type) == [.bucketSplit, .bucketSplit])
        #expect(entries.map(\.payload) == splits.map(\.payload))
        #expect(machine.tree == DatedTree(roots: [.root]))
        let applied = machine.step(.durable(LogIndex(3)))
        #expect(
            applied == [
                .apply([.split(splits[0], at: LogIndex(2)), .split(splits[1], at: LogIndex(3))], through: LogIndex(3))
            ])
        #expect(machine.tree.index == LogIndex(3) && machine.tree.tree.leaves.count == 3)
        #expect(machine.step(.applied).isEmpty && machine.owesConfirmation)
        #expect(leaf(&machine, of: face(1), 2, at: 4) == LeafID(256))
        #expect(leaf(&machine, of: face(-1), 3, at: 5) == LeafID(259))
    }

    @Test func aSplitThatTheLogRefusedNeverWas() {
        var machine = machine()
        _ = machine.step(.divided([split(.root, 256)]))
        #expect(machine.step(.refused(reason: "full")).isEmpty)
        #expect(machine.tree == DatedTree(roots: [.root]))
        #expect(leaf(&machine, of: face(1), 1, at: 1) == .root)
        _ = machine.step(.divided([split(.root, 256)]))
        _ = machine.step(.durable(LogIndex(2)))
        #expect(machine.step(.stopped(reason: "gone")).isEmpty)
        #expect(machine.step(.divided([split(LeafID(256), 258)])).isEmpty)
    }

    @Test(arguments: [true, false])
    func afterAFailedLogEverythingIsRefused(whileApplying: Bool) {
        var machine = machine()
        _ = machine.step(.proposed([enrol(1, [face(1)])], known: KnownFaces()))
        if whileApplying { _ = machine.step(.durable(LogIndex(1))) }
        #expect(machine.step(.stopped(reason: "gone")) == [.answer(ProposalID(value: 1), .stopped(reason: "gone"))])
        #expect(
            machine.step(.proposed([enrol(2, [face(2)])], known: KnownFaces()))
                == [.answer(ProposalID(value: 2), .stopped(reason: "gone"))])
        #expect(machine.step(.idle).isEmpty)
    }

    @Test func anIdleMachineConfirmsItsLastBatchOnce() {
        var machine = machine()
        #expect(machine.step(.idle).isEmpty)
        _ = finish(&machine, machine.step(.proposed([enrol(1, [face(1)])], known: KnownFaces())))
        guard case .append(let entries)? = machine.step(.idle).first else { return #expect(Bool(false), "no Noop") }
        #expect(entries.map(\.type) == [.noop])
        _ = machine.step(.durable(LogIndex(2)))
        #expect(machine.step(.applied).isEmpty)
        #expect(!machine.owesConfirmation)
        #expect(machine.step(.idle).isEmpty)
    }
}
