import FaceModel
import Foundation
import Replication
import Synchronization
import Testing

@testable import ClusterTransport

/// A node's replicas as a test wants them: every letter is kept.
final class TestReplicas: ReplicaHost {
    private let received = Mutex<[ReplicaLetter]>([])
    private let reports: @Sendable (ShardID) async -> ReplicaReport?

    init(reports: @escaping @Sendable (ShardID) async -> ReplicaReport? = { _ in nil }) { self.reports = reports }

    var letters: [ReplicaLetter] { received.withLock { $0 } }

    func receive(_ letter: ReplicaLetter) { received.withLock { $0.append(letter) } }
    func report(of shard: ShardID) async -> ReplicaReport? { await reports(shard) }

    /// What is lent, and who asked; a chunk is as many bytes of its offset.
    let lent = Mutex<(listing: CopyListing?, released: [UInt64])>((nil, []))

    func listing(of shard: ShardID, for receiver: ReplicaID) async -> CopyListing? { lent.withLock { $0.listing } }
    func read(_ chunk: CopyChunk, of shard: ShardID) async -> [UInt8]? {
        guard lent.withLock({ $0.listing?.number }) == chunk.number else { return nil }
        return [UInt8](repeating: UInt8(truncatingIfNeeded: chunk.offset), count: chunk.bytes)
    }
    func release(_ number: UInt64, of shard: ShardID) async { lent.withLock { $0.released.append(number) } }

    /// Faces that are here: each row is its id's bytes.
    let faces = Mutex<Set<FaceID>?>(nil)

    func rows(of faces: [FaceID], _ shard: ShardID) async -> [[UInt8]]? {
        self.faces.withLock { here in here.map { here in faces.filter(here.contains).map(\.bits.bytes) } }
    }
}

extension ReplicaLetter {
    /// The `number`th of a row of letters; `bytes` of payload in one record, or a letter without any.
    static func numbered(_ number: UInt64, bytes: Int? = nil) -> ReplicaLetter {
        var arbitrary = Arbitrary(seed: 1)
        var letter = arbitrary.letter()
        letter.records = []
        letter.message.body = .confirm(round: number)
        guard let bytes else { return letter }
        letter.message.epoch = Epoch(2)
        let payloads = stride(from: 0, to: bytes, by: 1 << 20).map { min(1 << 20, bytes - $0) }
        letter.records = payloads.enumerated().map { index, count in
            ReplicaRecord(
                lsn: LogIndex(number + UInt64(index)), epoch: Epoch(2), type: 2, token: .none,
                payload: Array(repeating: 7, count: count))
        }
        let first = LogIndex(number)
        letter.message.body = .append(
            .init(
                range: LogRange(
                    previous: number == 1 ? .zero : LogPoint(epoch: Epoch(1), index: LogIndex(number - 1)),
                    runs: [.init(epoch: Epoch(2), first: first)], last: first.advanced(by: payloads.count - 1)),
                commit: .zero, register: arbitrary.register(letter.message.generation, Epoch(2)), complete: nil))
        return letter
    }

    /// What `numbered` gave it.
    var number: UInt64? {
        switch message.body {
        case .confirm(let round): round
        case .append(let append): append.range.previous.index.value + 1
        case .appended, .mismatch, .copyNeeded, .fenced, .confirmed, .poll, .polled: nil
        }
    }
}

extension Arbitrary {
    mutating func position(_ range: ClosedRange<Int> = 0...1 << 40) -> UInt64 { UInt64(int(range)) }

    mutating func register(_ generation: Generation, _ epoch: Epoch) -> RegisterState {
        let replicas = many(1...5) { ReplicaID($0.bits()) }
        let members = int(1...replicas.count)
        return RegisterState(
            configuration: ShardConfiguration(
                generation: generation, version: position(), epoch: epoch, primary: replicas[0],
                primaryIncarnation: Incarnation(position()), isr: Array(replicas[..<members]),
                learners: Array(replicas[members...]), minISR: int(1...members)),
            revision: position())
    }

    /// Of any kind.
    mutating func letter() -> ReplicaLetter {
        let kinds: [(inout Arbitrary) -> ReplicaMessage.Body] = [
            { .appended(match: LogIndex($0.position()), version: $0.position()) },
            { .mismatch(hint: LogIndex($0.position())) }, { .copyNeeded(first: LogIndex($0.position())) },
            { _ in .fenced }, { .confirm(round: $0.position()) },
            { .confirmed(round: $0.position()) },
            { .poll(RequestNumber(UInt64(truncatingIfNeeded: $0.int(.min ... .max)))) },
            { .polled(RequestNumber(.max), commit: LogIndex($0.position()), age: $0.int(0...100_000)) },
        ]
        guard bool() else { return letter(kinds[int(0...kinds.count - 1)](&self), epoch: Epoch(position())) }
        return append(records: 0...20)
    }

    mutating func append(records: ClosedRange<Int>) -> ReplicaLetter {
        let start = int(0...3) == 0 ? 0 : position(1...1 << 40)
        var epoch = start == 0 ? 0 : position(1...100)
        let previous = LogPoint(epoch: Epoch(epoch), index: LogIndex(start))
        var runs: [LogOutline.Run] = []
        var written: [ReplicaRecord] = []
        for index in 0..<UInt64(int(records)) {
            if epoch == 0 || int(0...4) == 0 { epoch += position(1...3) }
            let lsn = LogIndex(start + 1 + index)
            if runs.last?.epoch != Epoch(epoch) { runs.append(.init(epoch: Epoch(epoch), first: lsn)) }
            written.append(
                ReplicaRecord(
                    lsn: lsn, epoch: Epoch(epoch), type: UInt8(int(0...255)), token: RequestToken(bits()),
                    payload: bytes(int(0...50))))
        }
        let last = Epoch(epoch + position(0...2))
        let range = LogRange(previous: previous, runs: runs, last: LogIndex(start + UInt64(written.count)))
        var letter = letter(.fenced, epoch: last)
        letter.message.body = .append(
            .init(
                range: range, commit: LogIndex(position()), register: register(letter.message.generation, last),
                complete: optional { Incarnation($0.position()) }))
        letter.records = written
        return letter
    }

    private mutating func letter(_ body: ReplicaMessage.Body, epoch: Epoch) -> ReplicaLetter {
        ReplicaLetter(
            shard: ShardID(bits()), sender: ReplicaID(bits()), receiver: ReplicaID(bits()),
            message: ReplicaMessage(
                generation: Generation(UInt32(int(0...9))), epoch: epoch, incarnation: Incarnation(position()),
                body: body))
    }
}

/// Asks again until it is so; a minute is no measure but the end of patience.
func eventually(
    _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record(comment ?? "it never became so", sourceLocation: sourceLocation)
    throw CancellationError()
}
