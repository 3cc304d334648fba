import FaceModel
import ClusterModel
import Testing
import VectorSearch
import WriteAheadLog

@testable import ShardEngine

/// What batches of requests add to the log, and what is answered.
@Suite struct ShardMachineTests {
    private let keys = FaceIdentityKeys(idKey: [UInt8](repeating: 7, count: 32), modelVersion: "1.0")
    private let machine = ShardMachine(tree: DatedTree(roots: [.root]))

    private func face(_ value: Float, name: String? = nil, token: RequestToken = .none) -> KeyedFace {
        var values = [Float](repeating: 0, count: 64)
        values[0] = value
        let face = NewFace(
            vector: RotatedVector(rotated: values), externalImageID: name.flatMap(ExternalImageID.init),
            record: FaceRecord(imageID: nil, detail: nil), token: token)
        return KeyedFace(face: face, key: keys.key(of: face))
    }

    private func enrol(_ id: UInt64, _ faces: [KeyedFace]) -> Proposal {
        Proposal(id: ProposalID(value: id), roots: [.root], request: .enrol(faces, keys))
    }

    private func delete(_ id: UInt64, _ faces: [FaceID]) -> Proposal {
        Proposal(id: ProposalID(value: id), roots: [.root], request: .delete(faces, token: .none))
    }

    private func outcomes(_ batch: ShardBatch, at index: LogIndex) -> [ProposalOutcome] {
        batch.answers.map { $0.outcome.placed(at: index) }
    }

    @Test func aFaceEnrolledTwiceHasOneIdAndOneRecord() {
        let batch = machine.batch([enrol(1, [face(1)]), enrol(2, [face(1)])], known: KnownFaces())
        #expect(batch.entries.map(\.type) == [.put] && batch.changes.count == 1)
        let id = keys.faceID(key: face(1).key, count: 0)
        #expect(batch.answers.map(\.id) == [ProposalID(value: 1), ProposalID(value: 2)])
        #expect(
            outcomes(batch, at: LogIndex(1)) == [.enrolled([id], at: LogIndex(1)), .enrolled([id], at: LogIndex(1))])
    }

    @Test func anotherNameIsAnotherFace() {
        #expect(face(1, name: "a").key != face(1, name: "b").key)
        #expect(face(1, name: "a").key != face(1).key)
        #expect(face(1).key != face(2).key)
    }

    @Test func aKnownLiveFaceWritesNothing() {
        var known = KnownFaces()
        known.keys[face(1).key] = FaceKeyState(count: 3, live: true)
        let batch = machine.batch([enrol(1, [face(1)])], known: known)
        #expect(batch.entries.isEmpty)
        #expect(outcomes(batch, at: .zero) == [.enrolled([keys.faceID(key: face(1).key, count: 3)], at: .zero)])
    }

    @Test func deletedAndEnrolledAgainTheFaceHasANewId() {
        let old = keys.faceID(key: face(1).key, count: 0)
        var known = KnownFaces()
        known.keys[face(1).key] = FaceKeyState(count: 0, live: true)
        known.live[old] = face(1).key
        let stranger = FaceID(Bits128(high: 9, low: 9))
        let batch = machine.batch([delete(1, [old, stranger]), enrol(2, [face(1)])], known: known)
        let new = keys.faceID(key: face(1).key, count: 1)
        #expect(new != old && batch.entries.map(\.type) == [.delete, .put])
        #expect(
            outcomes(batch, at: LogIndex(2)) == [
                .deleted([old], notFound: [stranger], at: LogIndex(2)), .enrolled([new], at: LogIndex(2)),
            ])
    }

    @Test func anEnrolmentThatIsAskedAgainIsAnsweredAsItWas() {
        let (own, other) = (RequestToken(Bits128(high: 1, low: 1)), RequestToken(Bits128(high: 2, low: 1)))
        func request(_ token: RequestToken) -> Proposal {
            // The second is the first once more; only the first was put.
            enrol(1, [face(1, token: token.face(at: 0)), face(1, token: token.face(at: 1))])
        }
        let first = machine.batch([request(own)], known: KnownFaces())
        #expect(first.entries.map(\.token) == [own])
        let (old, new) = (keys.faceID(key: face(1).key, count: 0), keys.faceID(key: face(1).key, count: 1))
        var known = KnownFaces()
        known.keys[face(1).key] = FaceKeyState(count: 1, live: false)
        known.enrolments[own] = old
        for (token, id) in [(own, old), (other, new), (.none, new)] {
            let batch = machine.batch([request(token)], known: known)
            #expect(batch.entries.count == (id == new ? 1 : 0))
            #expect(outcomes(batch, at: .zero) == [.enrolled([id, id], at: .zero)])
        }
        // In one batch: enrolled, deleted and asked again.
        let batch = machine.batch([request(own), delete(2, [old]), request(own)], known: KnownFaces())
        #expect(batch.entries.map(\.type) == [.put, .delete])
        #expect(outcomes(batch, at: .zero).last == .enrolled([old, old], at: .zero))
    }

    @Test func aDeleteThatIsAskedAgainIsAnsweredAsItWas() {
        let (own, other) = (RequestToken(Bits128(high: 1, low: 1)), RequestToken(Bits128(high: 1, low: 2)))
        let gone = keys.faceID(key: face(1).key, count: 0)
        var known = KnownFaces()
        known.deletions[gone] = own
        for (token, isAgain) in [(own, true), (other, false), (.none, false)] {
            let proposal = Proposal(
                id: ProposalID(value: 1), roots: [.root], request: .delete([gone], token: token))
            let batch = machine.batch([proposal], known: known)
            #expect(batch.entries.isEmpty)
            #expect(
                outcomes(batch, at: .zero) == [
                    .deleted(isAgain ? [gone] : [], notFound: isAgain ? [] : [gone], at: .zero)
                ])
        }
    }

    @Test func whoBelievesInOtherRootsIsToldTheRightOnesInHisTurn() {
        let machine = ShardMachine(tree: DatedTree(roots: [LeafID(3)]))
        let mistaken = Proposal(id: ProposalID(value: 1), roots: [.root], request: .enrol([face(1)], keys))
        let right = Proposal(id: ProposalID(value: 2), roots: [LeafID(3)], request: .enrol([face(2)], keys))
        let batch = machine.batch([mistaken, right], known: KnownFaces())
        #expect(batch.entries.count == 1)
        guard case .put(let put)? = batch.changes.first else { return #expect(Bool(false), "no put") }
        #expect(put.leaf == LeafID(3))
        let id = keys.faceID(key: face(2).key, count: 0)
        #expect(
            outcomes(batch, at: LogIndex(1)) == [.wrongOwner([LeafID(3)]), .enrolled([id], at: LogIndex(1))])
    }

    private func split(_ parent: LeafID, _ first: UInt32) -> BucketSplit {
        var towards = [Float](repeating: 0, count: 64)
        towards[0] = 1
        let away = RotatedVector(rotated: towards.map { -$0 })
        return BucketSplit(
            parent: parent, children: (LeafID(first), LeafID(first + 1)),
            centroids: (RotatedVector(rotated: towards), away))
    }

    private func leaf(of face: KeyedFace, in tree: DatedTree) -> LeafID? {
        let batch = ShardMachine(tree: tree).batch([enrol(1, [face])], known: KnownFaces())
        guard case .put(let put)? = batch.changes.first else { return nil }
        return put.leaf
    }

    @Test func facesArePutWhereDescentLeads() {
        #expect(leaf(of: face(1), in: machine.tree) == .root)
        let splits = [split(.root, 256), split(LeafID(257), 258)]
        let batch = machine.batch(splits, at: LogIndex(2))
        #expect(batch.entries.map(\.type) == [.bucketSplit, .bucketSplit])
        #expect(batch.entries.map(\.payload) == splits.map(\.payload) && batch.answers.isEmpty)
        #expect(batch.changes == [.split(splits[0], at: LogIndex(2)), .split(splits[1], at: LogIndex(3))])
        var tree = machine.tree
        for case .split(let split, let place) in batch.changes { tree.apply(split, at: place) }
        #expect(tree.index == LogIndex(3) && tree.tree.leaves.count == 3)
        #expect(leaf(of: face(1), in: tree) == LeafID(256))
        #expect(leaf(of: face(-1), in: tree) == LeafID(259))
    }
}
