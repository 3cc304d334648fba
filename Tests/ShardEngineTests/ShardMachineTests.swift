import FaceModel
import ClusterModel
import Testing
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

    private func machine() -> ShardMachine { ShardMachine(identity: keys, roots: [.root], lastIndex: .zero) }

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
        var machine = ShardMachine(identity: keys, roots: [LeafID(3)], lastIndex: .zero)
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
