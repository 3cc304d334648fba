import ClusterModel
import FaceModel
import Synchronization

/// Queries of one replica: those that come while others are scanned wait for them and then share one pass over the rows.
/// Where nothing is scanned none waits, and no timer is needed: waiting costs at most a pass.
final class ScanQueue<Query: Sendable, Answer: Sendable>: Sendable {
    /// Answers in the order of the queries; ends by the deadline or when the task is cancelled.
    typealias Scan = @Sendable ([Query], ContinuousClock.Instant) async -> Result<[Answer], ShardError>

    private struct Waiting {
        var queries: [Query]
        var deadline: ContinuousClock.Instant
        var end: Promise<Result<[Answer], ShardError>>
    }

    private struct State {
        var passes = 0
        var waiting: [Waiting] = []

        /// The requests of the next pass: those that somebody still waits for, as many as fit, in their order.
        mutating func takeBatch() -> [Waiting] {
            waiting.removeAll { $0.end.isSettled }
            var room = Limits.searchesPerRequestMax
            let batch = waiting.prefix { request in
                room -= request.queries.count
                return room >= 0
            }
            waiting.removeFirst(batch.count)
            if batch.isEmpty { passes -= 1 }
            return Array(batch)
        }
    }

    private let shard: ShardID
    private let passesMax: Int
    private let waitingMax: Int
    private let scan: Scan
    private let state = Mutex(State())

    /// At most `passesMax` passes go on at a time: more than one where the rows are too few for several threads.
    init(shard: ShardID, passesMax: Int, waitingMax: Int = 256, scan: @escaping Scan) {
        self.shard = shard
        self.passesMax = max(1, passesMax)
        self.waitingMax = waitingMax
        self.scan = scan
    }

    /// Requests that wait for a pass.
    var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// 1...`Limits.searchesPerRequestMax` queries; their answers are of one pass.
    func answers(to queries: [Query], until deadline: ContinuousClock.Instant) async throws(ShardError) -> [Answer] {
        let request = Waiting(queries: queries, deadline: deadline, end: Promise())
        let place = state.withLock { state -> Place in
            if state.passes < passesMax {
                state.passes += 1
                return .scans
            }
            guard state.waiting.count < waitingMax else { return .refused }
            state.waiting.append(request)
            return .waits
        }
        switch place {
        case .refused: throw .busy(shard, reason: "too many searches wait for the scans before them")
        case .waits:
            guard let answer = await request.end.value(), deadline > .now else { throw .deadlineExceeded(shard) }
            return try answer.get()
        case .scans:
            let answer = await scan(queries, deadline)
            passOn()
            return try answer.get()
        }
    }

    private enum Place {
        case scans
        case waits
        case refused
    }

    /// A pass has ended: the next one answers all who came meanwhile, and is nobody's own.
    private func passOn() {
        let batch = state.withLock { $0.takeBatch() }
        guard !batch.isEmpty else { return }
        Task {
            let latest = batch.map(\.deadline).max() ?? .now
            let answers = await scan(batch.flatMap(\.queries), latest)
            var start = 0
            for request in batch {
                let range = start..<start + request.queries.count
                start = range.upperBound
                request.end.settle(answers.map { Array($0[range]) })
            }
            passOn()
        }
    }
}
