import FaceModel
import Foundation
import NIOCore
import Replication
import SwiftProtobuf
import Testing

@testable import ClusterTransport

/// Letters between replicas to bytes and back, and what is refused of them.
@Suite struct LetterTests {
    private static var call: WireCall {
        guard let call = WireCall(request: RequestID(Bits128(high: 1, low: 2)), deadline: .now + .seconds(9), now: .now)
        else { preconditionFailure("time remains") }
        return call
    }

    private func body(_ message: some Message) throws -> ByteBuffer {
        var frame = try #require(message.frame(.request, id: 1))
        frame.moveReaderIndex(forwardBy: FrameHeader.bytes)
        return frame
    }

    private func posted(_ message: WirePostRequest) throws -> [ReplicaLetter] {
        guard case (.post(let letters), let request) = try RequestRunner.replicaRequest(.post, try body(message)) else {
            throw BodyError("method", "another one was read")
        }
        #expect(request == RequestID(Bits128(high: 1, low: 2)))
        return letters
    }

    @Test(arguments: BodyTests.seeds) func letters(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let letters = arbitrary.many(0...60) { $0.letter() }
        let message = WirePostRequest(letters, Self.call)
        #expect(try posted(message) == letters)
        for letter in letters {
            let bytes = try WireLetter(letter).serializedData().count
            #expect(bytes <= letter.wireBytesMax, "\(letter.message.body)")
        }
    }

    @Test func aThousandRecordsComeBackWithTheirPlaces() throws {
        var arbitrary = Arbitrary(seed: 7)
        let letter = arbitrary.append(records: 1_024...1_024)
        let read = try #require(try posted(WirePostRequest([letter], Self.call)).first)
        #expect(read == letter)
        #expect(read.records.count == 1_024)
    }

    /// The field that is refused of a letter with two runs of two records each, behind record 9 of epoch 3.
    private func refused(_ change: (inout WireLetter.Append) -> Void) throws -> String? {
        var letter = ReplicaLetter.numbered(10, bytes: 4 << 20)
        guard case .append(var append) = letter.message.body else { return "no append" }
        letter.message.epoch = Epoch(6)
        append.register.configuration.epoch = Epoch(6)
        append.range = LogRange(
            previous: LogPoint(epoch: Epoch(3), index: LogIndex(9)),
            runs: [.init(epoch: Epoch(3), first: LogIndex(10)), .init(epoch: Epoch(5), first: LogIndex(12))],
            last: LogIndex(13))
        letter.message.body = .append(append)
        for index in letter.records.indices { letter.records[index].payload = [UInt8(index)] }
        var message = WireLetter(letter)
        var changed = message.append
        change(&changed)
        message.append = changed
        return try refusedOf(message)
    }

    private func refusedOf(_ letter: WireLetter) throws -> String? {
        var message = WirePostRequest([], Self.call)
        message.letters = [letter]
        let bytes = try body(message)
        do throws(BodyError) {
            _ = try RequestRunner.replicaRequest(.post, bytes)
            return nil
        } catch {
            return error.field
        }
    }

    @Test func rangesAreChecked() throws {
        let prefix = "letters[0].append."
        #expect(try refused { _ in } == nil)
        #expect(try refused { $0.previous = 14 } == prefix + "last")
        #expect(try refused { $0.last = .max } == prefix + "last")
        #expect(try refused { $0.last = 5_000 } == prefix + "last")
        #expect(try refused { $0.previous = .max } == prefix + "previous")
        #expect(try refused { $0.previous = 0 } == prefix + "previous_epoch")
        #expect(try refused { $0.previousEpoch = 0 } == nil)
        #expect(try refused { $0.previousEpoch = 4 } == prefix + "run_epochs")
        #expect(try refused { $0.previousEpoch = 2 } == nil)
        #expect(try refused { $0.runFirsts = [] } == prefix + "run_firsts")
        #expect(try refused { ($0.runFirsts, $0.runEpochs) = ([], []) } == prefix + "run_firsts")
        #expect(try refused { $0.runFirsts[0] = 11 } == prefix + "run_firsts")
        #expect(try refused { $0.runFirsts[0] = 9 } == prefix + "run_firsts")
        #expect(try refused { $0.runFirsts[1] = 10 } == prefix + "run_firsts")
        #expect(try refused { $0.runFirsts[1] = 14 } == prefix + "run_firsts")
        #expect(try refused { $0.runFirsts[1] = 13 } == nil)
        #expect(try refused { $0.runEpochs[1] = 3 } == prefix + "run_epochs")
        #expect(try refused { $0.runEpochs[1] = 7 } == prefix + "run_epochs")
        #expect(try refused { $0.runEpochs[0] = 2 } == prefix + "run_epochs")
        #expect(try refused { $0.commit = .max } == prefix + "commit")
        #expect(try refused { $0.complete = .max } == prefix + "complete")
    }

    @Test func recordsAreChecked() throws {
        let prefix = "letters[0].append."
        #expect(try refused { $0.last = 12 } == prefix + "tokens")
        #expect(try refused { $0.types.removeLast() } == prefix + "types")
        #expect(try refused { $0.types.append(0) } == prefix + "types")
        #expect(try refused { $0.tokens.removeLast() } == prefix + "tokens")
        #expect(try refused { $0.tokens.removeLast(16) } == prefix + "types")
        #expect(try refused { $0.lengths.removeLast(4) } == prefix + "types")
        #expect(try refused { $0.lengths = FieldBytes.words([0, 4, 0, 0]) } == nil)
        #expect(try refused { $0.lengths = FieldBytes.words([2, 1, 1, 1]) } == prefix + "payloads")
        #expect(try refused { $0.lengths = FieldBytes.words([1, 1, .max, 1]) } == prefix + "lengths[2]")
        #expect(try refused { $0.payloads.append(0) } == prefix + "payloads")
    }

    @Test func registersAreChecked() throws {
        let prefix = "letters[0].append.register."
        func replicas(_ numbers: UInt64...) -> Data {
            FieldBytes.ids(numbers.map { ReplicaID(Bits128(high: 0, low: $0)) })
        }
        func register(_ change: (inout WireLetter.Register) -> Void) throws -> String? {
            try refused { append in
                (append.register.inSync, append.register.learners) = (replicas(1, 2), replicas(3, 4))
                append.register.primary = replicas(2)
                change(&append.register)
            }
        }
        #expect(try register { _ in } == nil)
        #expect(try register { $0.primary = replicas(3) } == prefix + "primary")
        #expect(try register { $0.primary = Data(count: 15) } == prefix + "primary")
        #expect(try register { $0.inSync = Data() } == prefix + "primary")
        #expect(try register { $0.inSync = replicas(2, 1) } == prefix + "in_sync")
        #expect(try register { $0.inSync = replicas(2, 2) } == prefix + "in_sync")
        #expect(try register { $0.learners = replicas(1) } == prefix + "learners")
        #expect(try register { $0.learners = replicas(4, 3) } == prefix + "learners")
        #expect(try register { $0.learners = Data(count: 16 * 65) } == prefix + "learners")
        #expect(try register { $0.generation += 1 } == prefix + "generation")
        #expect(try register { $0.epoch += 1 } == prefix + "epoch")
        #expect(try register { $0.epoch -= 1 } == nil)
        #expect(try register { $0.minInSync = 0 } == prefix + "min_in_sync")
        #expect(try register { $0.minInSync = 65 } == prefix + "min_in_sync")
        #expect(try register { $0.revision = .max } == prefix + "revision")
        #expect(try register { $0.version = .max } == prefix + "version")
    }

    @Test func lettersAreChecked() throws {
        func refused(_ change: (inout WireLetter) -> Void) throws -> String? {
            var letter = WireLetter(.numbered(1))
            change(&letter)
            return try refusedOf(letter)
        }
        #expect(try refused { _ in } == nil)
        #expect(try refused { $0.shard.removeLast() } == "letters[0].shard")
        #expect(try refused { $0.sender = Data() } == "letters[0].sender")
        #expect(try refused { $0.receiver = Data(count: 17) } == "letters[0].receiver")
        #expect(try refused { $0.epoch = .max } == "letters[0].epoch")
        #expect(try refused { $0.incarnation = .max } == "letters[0].incarnation")
        #expect(try refused { $0.body = nil } == "letters[0].body")
        #expect(try refused { $0.mismatch = .max } == "letters[0].mismatch")
        #expect(try refused { $0.copyNeeded = .max } == "letters[0].copy_needed")
        #expect(try refused { $0.poll = .max } == nil)
        #expect(try refused { $0.polled = .with { $0.ageMilliseconds = .max } } == "letters[0].polled.age_milliseconds")
        let many = (0...TransportLimits.lettersMax).map { ReplicaLetter.numbered(UInt64($0)) }
        #expect(throws: BodyError.self) { try posted(WirePostRequest(many, Self.call)) }
        #expect(try posted(WirePostRequest(many.dropLast(), Self.call)).count == TransportLimits.lettersMax)
        #expect(throws: BodyError.self) { try RequestRunner.replicaRequest(.post, try body(WirePostRequest())) }
    }

    @Test func reports() throws {
        var arbitrary = Arbitrary(seed: 6)
        let shard = ShardID(arbitrary.bits())
        guard
            case (.report(of: shard), _) = try RequestRunner.replicaRequest(
                .report, try body(WireReportRequest(shard, Self.call)))
        else { throw BodyError("method", "another one was read") }
        for clean in [false, true] {
            let report = ReplicaReport(
                replica: ReplicaID(arbitrary.bits()), incarnation: Incarnation(arbitrary.position()), isClean: clean,
                durable: LogPoint(epoch: Epoch(3), index: LogIndex(arbitrary.position())))
            #expect(try WireReportAnswer(body: try body(WireReportAnswer(report))).domain() == report)
        }
        #expect(try WireReportAnswer(body: try body(WireReportAnswer(nil))).domain() == nil)
        var bad = WireReportAnswer(nil)
        bad.report.incarnation = .max
        #expect(throws: BodyError.self) { try bad.domain() }
    }
}
