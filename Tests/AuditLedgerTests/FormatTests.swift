@testable import AuditLedger
import FaceModel
import Testing

@Suite struct LedgerFormatTests {
    @Test func anotherImplementationsLeavesOpen() throws {
        for name in ["intent", "result"] {
            let leaf = try #require(Leaf(bytes: try golden("\(name) leaf")))
            #expect(leaf.bytes == (try golden("\(name) leaf")))
            let sealed = try golden("\(name) sealed")
            guard case .entry(let entry) = SealedRecord.open(sealed, leaf: leaf, recordKey: Sample.recordKey) else {
                Issue.record("\(name) does not open")
                continue
            }
            #expect(entry.search.bits.bytes == Array(0..<16))
            #expect(entry.time.milliseconds == 1_769_860_800_123)
            let payload = try #require(LeafPayload(bytes: try golden("\(name) payload")))
            #expect(payload.leaf == leaf && payload.sealed == sealed)
            #expect(payload.bytes == (try golden("\(name) payload")))
        }
    }

    @Test func everyFieldOfAnIntentIsRead() throws {
        guard case .intent(let intent) = PrivateRecord.decode(try golden("intent record")) else {
            Issue.record("not an intent")
            return
        }
        #expect(intent.accessKey.text == "AKIDEXAMPLE00000" && intent.person == "Zoë")
        #expect(intent.operation == "SearchFacesByImage" && intent.purpose == "felony" && intent.caseNumber == "A-17")
        #expect(intent.authority == nil && intent.source == nil && intent.cosineAsked == nil)
        #expect(intent.collections == ["booking", "missing"] && intent.modelVersion == "1.0")
        #expect(intent.modelDigest == Array(0..<32) && intent.probeDigest == [UInt8](repeating: 0, count: 32))
        #expect(intent.similarityAsked == 99 && intent.maxCandidates == 80)
        // Our own bytes are the same but for the field of a later version.
        let ours = PrivateRecord.encode(.intent(intent))
        #expect(try golden("intent record").starts(with: ours))
    }

    @Test func everyFieldOfAResultIsRead() throws {
        let record = try golden("result record")
        guard case .result(let result) = PrivateRecord.decode(record) else {
            Issue.record("not a result")
            return
        }
        #expect(result.outcome == .answered && result.cosineApplied == 0.25 && result.similarityApplied == nil)
        #expect(result.mode == "exhaustive" && result.facesScored == 300)
        #expect(result.shardsAsked == 2 && result.shardsAnswered == 1 && result.expectedStrangers == nil)
        #expect(result.candidates.map(\.score) == [0.5, 0.25])
        #expect(PrivateRecord.encode(.result(result)) == record)
    }

    @Test func recordsRoundTrip() throws {
        var failed = Sample.result(4, candidates: 0)
        failed.outcome = .failed(code: "no-face")
        failed.similarityApplied = nil
        failed.expectedStrangers = nil
        var bare = try Sample.intent(9, caseNumber: nil)
        (bare.purpose, bare.person, bare.collections, bare.modelDigest) = (nil, "", [], [])
        (bare.similarityAsked, bare.cosineAsked, bare.authority) = (nil, -0.25, "warrant 3 of 2026-11-01")
        let entries: [LedgerEntry] = [
            .intent(try Sample.intent(1)), .intent(bare), .result(Sample.result(2)), .result(failed),
            .result(Sample.result(3, candidates: 4_096)), .order(try Sample.order(.suspend, 1)),
            .order(try Sample.order(.resume, 2)), .order(try Sample.revocation(of: "AKIDREVOKED00000")),
        ]
        for entry in entries { #expect(PrivateRecord.decode(PrivateRecord.encode(entry)) == entry) }
    }

    @Test func cutAndGarbledRecordsNeverDecodeToSomethingElse() throws {
        let record = try golden("result record")
        for length in record.indices { #expect(PrivateRecord.decode(Array(record[..<length])) == nil) }
        var generator = Seeded(state: 11)
        for _ in 0..<5_000 {
            var changed = record
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                changed[.random(in: 0..<changed.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            if let entry = PrivateRecord.decode(changed) { _ = PrivateRecord.encode(entry) }
        }
    }

    @Test func candidatesAreHeldToTheirDigest() throws {
        var record = try golden("result record")
        record[record.count - 1] ^= 1
        #expect(PrivateRecord.decode(record) == nil)
    }

    @Test func everyFlippedByteOfLeafOrSealIsSeen() throws {
        let (bytes, sealed) = (try golden("intent leaf"), try golden("intent sealed"))
        let leaf = try #require(Leaf(bytes: bytes))
        for position in sealed.indices {
            var changed = sealed
            changed[position] ^= 4
            guard case .bad = SealedRecord.open(changed, leaf: leaf, recordKey: Sample.recordKey) else {
                Issue.record("flip of sealed byte \(position) went unseen")
                continue
            }
        }
        for position in bytes.indices {
            var changed = bytes
            changed[position] ^= 1
            guard let other = Leaf(bytes: changed) else { continue }
            guard case .bad = SealedRecord.open(sealed, leaf: other, recordKey: Sample.recordKey) else {
                Issue.record("flip of leaf byte \(position) went unseen")
                continue
            }
        }
        for length in 0..<sealed.count where length > 0 {
            guard case .bad = SealedRecord.open(Array(sealed[..<length]), leaf: leaf, recordKey: Sample.recordKey)
            else {
                Issue.record("a cut to \(length) went unseen")
                continue
            }
        }
    }

    @Test func theSameSearchTwiceGivesUnrelatedCommitments() throws {
        var generator = Seeded(state: 1)
        let entry = try Sample.entry(0)
        let first = SealedRecord.make(entry, recordKey: Sample.recordKey, using: &generator)
        let second = SealedRecord.make(entry, recordKey: Sample.recordKey, using: &generator)
        #expect(first.leaf.commitment != second.leaf.commitment)
        #expect(SealedRecord.open(second.sealed, leaf: first.leaf, recordKey: Sample.recordKey) != .entry(entry))
        let zeros = [UInt8](repeating: 0, count: first.sealed.count)
        #expect(SealedRecord.open(zeros, leaf: first.leaf, recordKey: Sample.recordKey) == .destroyed)
    }

    @Test(
        arguments: [
            (0, "000"), (7, "007"), (999, "999"), (1_000, "x001/000"), (1_234_067, "x001/x234/067"),
            (999_999_999, "x999/x999/999"), (1_000_000_000, "x001/x000/x000/000"),
        ] as [(UInt64, String)]) func tilesAreNamedAsC2SPSays(_ number: UInt64, _ text: String)
    {
        #expect(LedgerTile.entries(number).path == "tile/entries/" + text)
        #expect(LedgerTile.hashes(level: 3, number: number).path == "tile/3/" + text)
    }

    @Test func bundlesRefuseWhatIsNotWhole() {
        let privates = LedgerBundle.privates([[1, 2, 3], [], [9]])
        #expect(LedgerBundle.rawPrivates(privates)?.map(\.sealed) == [[1, 2, 3], [], [9]])
        #expect(LedgerBundle.rawPrivates(Array(privates.dropLast())) == nil)
        #expect(LedgerBundle.rawEntries([0, 2, 7]) == nil)
        #expect(LedgerBundle.rawEntries([0, 2, 7, 8, 0, 0]) == [[7, 8], []])
        #expect(LedgerBundle.hashes([UInt8](repeating: 0, count: 8_191)) == nil)
    }
}

@Suite struct CheckpointTests {
    @Test func anotherImplementationsNoteVerifiesAndOursIsTheSame() throws {
        let text = String(decoding: try golden("verifier"), as: UTF8.self)
        let key = try #require(VerifierKey(text: text))
        let note = String(decoding: try golden("note"), as: UTF8.self)
        let checkpoint = try #require(key.open(note))
        #expect(checkpoint.size == 2 && checkpoint.origin == key.name)
        let root = MerkleHash.node(.leaf(try golden("intent leaf")), .leaf(try golden("result leaf")))
        #expect(checkpoint.root == root)
        let signer = try #require(CheckpointSigner(name: key.name, seed: try golden("seed")))
        #expect(signer.verifierKey.text == text)
        #expect(key.open(signer.sign(size: 2, root: root)) == checkpoint)
    }

    /// The example keys of Go's golang.org/x/mod/sumdb/note.
    @Test func keyTextsAreThoseOfSignedNote() throws {
        let signer = try #require(
            CheckpointSigner(text: "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"))
        #expect(signer.verifierKey.text == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
        #expect(CheckpointSigner(text: signer.keyFile)?.verifierKey == signer.verifierKey)
        #expect("\(signer)" == "CheckpointSigner(PeterNeumann)")
    }

    @Test func everyChangedByteOfANoteOrKeyIsRefused() throws {
        let note = try golden("note")
        let text = try golden("verifier")
        let key = try #require(VerifierKey(text: String(decoding: text, as: UTF8.self)))
        for position in note.indices {
            var changed = note
            changed[position] ^= 1
            #expect(key.open(String(decoding: changed, as: UTF8.self)) == nil, "note byte \(position)")
        }
        for length in note.indices { #expect(key.open(String(decoding: note[..<length], as: UTF8.self)) == nil) }
        for position in text.indices {
            var changed = text
            changed[position] ^= 1
            #expect(VerifierKey(text: String(decoding: changed, as: UTF8.self)) == nil, "key byte \(position)")
        }
    }

    @Test func anotherKeyOfTheSameNameIsRefused() throws {
        let (ours, other) = (try Sample.signer(seed: 1), try Sample.signer(seed: 2))
        let note = other.sign(size: 3, root: .empty)
        #expect(other.verifierKey.open(note) != nil)
        #expect(ours.verifierKey.open(note) == nil)
        #expect(CheckpointSigner(name: "a b", seed: [UInt8](repeating: 1, count: 32)) == nil)
        #expect(CheckpointSigner(name: "a+b", seed: [UInt8](repeating: 1, count: 32)) == nil)
        #expect(CheckpointSigner(name: "ab", seed: [1]) == nil)
    }

    @Test func base64IsCanonicalOnly() {
        var generator = Seeded(state: 9)
        for length in 0..<100 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
        for bad in ["A", "AA", "AAA", "AB==", "AAB=", "A===", "AA=A", "AA==AA==", "AA\n=", "-_--"] {
            #expect(Base64.decode(bad) == nil)
        }
        #expect(Base64.encode(Array("foob".utf8)) == "Zm9vYg==")
    }
}
