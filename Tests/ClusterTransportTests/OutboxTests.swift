import Replication
import Testing

@testable import ClusterTransport

@Suite struct OutboxTests {
    private var settings: TransportSettings {
        var settings = TransportSettings()
        (settings.lettersMax, settings.letterBytesMax) = (5, 100)
        return settings
    }

    @Test func theFirstBeginsAndThoseAfterItQueueUntilNothingWaits() {
        var outbox = Outbox()
        #expect(outbox.add(.numbered(1), bytes: 10, settings) == .first)
        #expect(outbox.add(.numbered(2), bytes: 10, settings) == .queued)
        #expect(outbox.next(max: 1_000)?.map(\.number) == [1, 2])
        #expect(outbox.add(.numbered(3), bytes: 10, settings) == .queued)
        #expect(outbox.next(max: 1_000)?.map(\.number) == [3])
        #expect(outbox.next(max: 1_000) == nil)
        #expect(outbox.add(.numbered(4), bytes: 10, settings) == .first)
    }

    @Test func aRequestTakesAsMuchAsItMayButOneAtLeast() {
        var outbox = Outbox()
        for (number, bytes) in [(1, 40), (2, 10), (3, 10), (4, 11), (5, 5)] {
            _ = outbox.add(.numbered(UInt64(number)), bytes: bytes, settings)
        }
        #expect(outbox.next(max: 30)?.map(\.number) == [1])
        #expect(outbox.next(max: 30)?.map(\.number) == [2, 3])
        #expect(outbox.next(max: 16)?.map(\.number) == [4, 5])
        #expect(outbox.next(max: 16) == nil)
    }

    @Test func lettersAndBytesAreBoundedAndRoomComesBack() {
        var outbox = Outbox()
        for number in 1...5 { #expect(outbox.add(.numbered(UInt64(number)), bytes: 1, settings) != .full) }
        #expect(outbox.add(.numbered(6), bytes: 1, settings) == .full)
        #expect(outbox.clear() == 5)
        #expect(outbox.count == 0)
        #expect(outbox.add(.numbered(7), bytes: 100, settings) == .queued)
        #expect(outbox.add(.numbered(8), bytes: 1, settings) == .full)
        #expect(outbox.next(max: 1)?.map(\.number) == [7])
        #expect(outbox.add(.numbered(9), bytes: 101, settings) == .full)
        #expect(outbox.add(.numbered(10), bytes: 1, settings) == .queued)
    }

    @Test func troubleIsNewsOnce() {
        var outbox = Outbox()
        #expect([true, true, false, false, true].map { outbox.note(failing: $0) } == [true, false, true, false, true])
    }
}
