import ClusterModel
import FaceModel
import Synchronization
import Testing

@testable import ShardEngine

/// Who shares a pass with whom; a test decides when each pass ends.
@Suite struct ScanQueueTests {
    /// Passes as they began, each held until it is let go.
    private final class Passes: Sendable {
        private struct State {
            var begun: [[Int]] = []
            var held: [CheckedContinuation<Void, Never>?] = []
            var awaited: (count: Int, CheckedContinuation<Void, Never>)?
        }
        private let state = Mutex(State())

        func scan(_ queries: [Int]) async -> Result<[Int], ShardError> {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
                    state.begun.append(queries)
                    state.held.append(continuation)
                    guard let (count, waiter) = state.awaited, state.begun.count >= count else { return nil }
                    state.awaited = nil
                    return waiter
                }
                ready?.resume()
            }
            return .success(queries.map { $0 * 10 })
        }

        /// Returns once `count` passes have begun; all of them.
        func begun(_ count: Int) async -> [[Int]] {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    if state.begun.count >= count { return true }
                    state.awaited = (count, continuation)
                    return false
                }
                if ready { continuation.resume() }
            }
            return state.withLock { $0.begun }
        }

        func end(_ pass: Int) { state.withLock { $0.held[pass].take() }?.resume() }
    }

    private let passes = Passes()
    private let shard = ShardID(Bits128(high: 0, low: 1))
    private let late = ContinuousClock.now + .seconds(3_600)

    private func queue(passesMax: Int = 1, waitingMax: Int = 256) -> ScanQueue<Int, Int> {
        ScanQueue(shard: shard, passesMax: passesMax, waitingMax: waitingMax) { [passes] queries, _ in
            await passes.scan(queries)
        }
    }

    /// Begins a request and returns once the queue has it.
    private func ask(
        _ queue: ScanQueue<Int, Int>, _ queries: [Int], waiting: Int, deadline: ContinuousClock.Instant? = nil
    ) async -> Task<Result<[Int], ShardError>, Never> {
        let task = Task { () -> Result<[Int], ShardError> in
            do throws(ShardError) {
                return .success(try await queue.answers(to: queries, until: deadline ?? late))
            } catch {
                return .failure(error)
            }
        }
        while queue.waitingCount < waiting { await Task.yield() }
        return task
    }

    @Test func whoComesDuringAPassSharesTheNextOne() async {
        let queue = queue()
        let first = await ask(queue, [1], waiting: 0)
        #expect(await passes.begun(1) == [[1]])
        let second = await ask(queue, [2, 3], waiting: 1)
        let third = await ask(queue, [4], waiting: 2)
        passes.end(0)
        #expect(await first.value == .success([10]))
        #expect(await passes.begun(2) == [[1], [2, 3, 4]])
        passes.end(1)
        #expect(await second.value == .success([20, 30]))
        #expect(await third.value == .success([40]))
        let fourth = await ask(queue, [5], waiting: 0)
        #expect(await passes.begun(3).last == [5], "nobody waits where nothing is scanned")
        passes.end(2)
        #expect(await fourth.value == .success([50]))
    }

    @Test func aPassTakesNoMoreThanARequestMay() async {
        let queue = queue()
        let first = await ask(queue, [0], waiting: 0)
        _ = await passes.begun(1)
        let most = Limits.searchesPerRequestMax
        let many = await ask(queue, Array(repeating: 1, count: most - 1), waiting: 1)
        let two = await ask(queue, [2, 2], waiting: 2)
        let one = await ask(queue, [3], waiting: 3)
        passes.end(0)
        #expect(await passes.begun(2)[1].count == most - 1, "requests are not cut, and keep their order")
        passes.end(1)
        #expect(await passes.begun(3)[2] == [2, 2, 3])
        passes.end(2)
        for task in [first, many, two, one] { await #expect(throws: Never.self) { try await task.value.get() } }
    }

    @Test func whoGaveUpIsNotScannedFor() async {
        let queue = queue()
        let first = await ask(queue, [1], waiting: 0)
        _ = await passes.begun(1)
        let cancelled = await ask(queue, [2], waiting: 1)
        let stays = await ask(queue, [3], waiting: 2)
        cancelled.cancel()
        #expect(await cancelled.value == .failure(.deadlineExceeded(shard)))
        passes.end(0)
        #expect(await passes.begun(2)[1] == [3])
        passes.end(1)
        #expect(await stays.value == .success([30]))
        #expect(await first.value == .success([10]))
    }

    @Test func aQueueThatIsFullRefusesAndOneWithLanesScansAtOnce() async {
        let queue = queue(passesMax: 2, waitingMax: 1)
        let first = await ask(queue, [1], waiting: 0)
        let second = await ask(queue, [2], waiting: 0)
        #expect(Set(await passes.begun(2)) == [[1], [2]])
        let third = await ask(queue, [3], waiting: 1)
        guard case .failure(.busy) = await ask(queue, [4], waiting: 1).value else {
            Issue.record("a full queue took a request")
            return
        }
        passes.end(0)
        #expect(await passes.begun(3)[2] == [3])
        passes.end(1)
        passes.end(2)
        for task in [first, second, third] { await #expect(throws: Never.self) { try await task.value.get() } }
    }

    @Test func anAnswerAfterTheDeadlineIsNone() async {
        let queue = queue()
        let first = await ask(queue, [1], waiting: 0)
        _ = await passes.begun(1)
        let late = await ask(queue, [2], waiting: 1, deadline: .now)
        passes.end(0)
        _ = await passes.begun(2)
        passes.end(1)
        #expect(await late.value == .failure(.deadlineExceeded(shard)))
        #expect(await first.value == .success([10]))
    }
}
