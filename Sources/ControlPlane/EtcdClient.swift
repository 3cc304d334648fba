import AsyncHTTPClient
import ClusterModel
import Foundation
import Logging
import NIOCore
import Synchronization

/// Questions to etcd's JSON gateway, with several endpoints behind them.
final class EtcdClient: Sendable {
    let configuration: EtcdConfiguration
    let log: Logger
    private let http: HTTPClient
    private let endpoints: Mutex<EtcdEndpoints>

    init(_ configuration: EtcdConfiguration, log: Logger) throws(ControlPlaneError) {
        try configuration.check()
        self.configuration = configuration
        self.log = log
        http = try configuration.makeClient()
        endpoints = Mutex(
            EtcdEndpoints(
                configuration.endpoints, avoidance: configuration.avoidance, avoidanceMax: configuration.avoidanceMax))
    }

    /// The client must not be let go while its connections are open.
    deinit { http.shutdown { _ in } }

    /// What was answered, and whether an attempt before may have done what was asked without our hearing of it.
    struct Answered<Answer: Sendable>: Sendable {
        var answer: Answer
        var afterUnsure: Bool
    }

    /// Asks the endpoints in turn until one answers; again, as long as there is time, after an attempt whose outcome is
    /// unknown: members that elect a leader answer nothing, or that it changed, for a second or two.
    /// The question must do no harm when it is asked twice.
    func ask<Answer: EtcdAnswer & Sendable>(
        _ path: String, _ question: some Encodable
    ) async throws(EtcdFailure) -> Answered<Answer> {
        let body = try Self.encode(question)
        let deadline = ContinuousClock.now + configuration.requestTimeout
        var reasons: [String] = []
        var (unsure, goOn) = (false, true)
        while goOn {
            for address in candidates() {
                let patience = min(configuration.attemptTimeout, deadline - ContinuousClock.now)
                guard patience > .zero else { break }
                do throws(EtcdFailure) {
                    let bytes = try await Self.within(patience) { try await self.post(address + path, body) }
                    let answer: Answer = try accept(try Self.decode(bytes), from: address)
                    return Answered(answer: answer, afterUnsure: unsure)
                } catch {
                    unsure = unsure || error.maybeDone
                    guard error.kind == .endpoint, !Task.isCancelled else { throw error.after(unsure: unsure) }
                    failed(address, error)
                    reasons.append("\(address): \(error.reason)")
                }
            }
            goOn = unsure ? await pause(before: deadline) : false
        }
        let text = reasons.suffix(configuration.endpoints.count).joined(separator: "; ")
        throw EtcdFailure(kind: .endpoint, reason: text, maybeDone: unsure)
    }

    /// False when no time is left for another round.
    private func pause(before deadline: ContinuousClock.Instant) async -> Bool {
        guard ContinuousClock.now + configuration.roundPause < deadline else { return false }
        return (try? await Task.sleep(for: configuration.roundPause)) != nil
    }

    /// The endpoints in the order in which to ask them.
    func candidates() -> [String] { endpoints.withLock { $0.candidates(at: .now) } }

    /// Logs the first failure in a row only: an etcd that is down would fill the log.
    func failed(_ address: String, _ failure: EtcdFailure) {
        let isFirst = endpoints.withLock { $0.failed(address, at: .now) }
        log.log(
            level: isFirst ? .warning : .debug, "etcd endpoint failed",
            metadata: ["endpoint": "\(address)", "reason": "\(failure.reason)"])
    }

    /// Checks that an answer is of our cluster.
    func accept<Answer: EtcdAnswer>(_ answer: Answer, from address: String) throws(EtcdFailure) -> Answer {
        guard endpoints.withLock({ $0.answered(address, clusterID: answer.header.clusterId) }) else {
            throw EtcdFailure(
                kind: .endpoint,
                reason: "belongs to etcd cluster \(answer.header.clusterId), not to that of the others",
                maybeDone: true)
        }
        return answer
    }

    /// The body of an answer that goes on until one side ends it.
    func stream(_ url: String, _ question: some Encodable) async throws(EtcdFailure) -> HTTPClientResponse.Body {
        let request = Self.request(url, try Self.encode(question))
        do {
            let response = try await http.execute(request, deadline: .distantFuture)
            if response.status.code == 200 { return response.body }
            throw await refusal(response)
        } catch {
            throw EtcdFailure(error)
        }
    }

    func shutdown() async throws(ControlPlaneError) {
        do { try await http.shutdown() } catch {
            if error as? HTTPClientError == .alreadyShutdown { return }
            throw .unavailable(reason: "etcd: connections could not be closed: \(error)", outcomeUnknown: false)
        }
    }

    static func decode<Answer: Decodable>(_ bytes: ByteBuffer) throws(EtcdFailure) -> Answer {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do { return try decoder.decode(Answer.self, from: Data(bytes.readableBytesView)) } catch {
            throw .nonsense(error is DecodingError ? "not the JSON expected" : "\(error)")
        }
    }

    private static func encode(_ question: some Encodable) throws(EtcdFailure) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        do { return ByteBuffer(bytes: try encoder.encode(question)) } catch {
            preconditionFailure("a question to etcd holds only JSON values")
        }
    }

    private static func request(_ url: String, _ body: ByteBuffer) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        // A member that has lost its leader says so instead of being silent.
        request.headers.add(name: "Grpc-Metadata-hasleader", value: "true")
        request.body = .bytes(body)
        return request
    }

    private func post(_ url: String, _ body: ByteBuffer) async throws -> ByteBuffer {
        let response = try await http.execute(Self.request(url, body), deadline: .distantFuture)
        guard response.status.code == 200 else { throw await refusal(response) }
        do { return try await response.body.collect(upTo: configuration.answerBytesMax) } catch {
            guard error is NIOTooManyBytesError else { throw error }
            throw EtcdFailure.tooLong(configuration.answerBytesMax)
        }
    }

    private func refusal(_ response: HTTPClientResponse) async -> EtcdFailure {
        let status = response.status.code
        guard let body = try? await response.body.collect(upTo: 1 << 16),
            let refusal: EtcdRefusal = try? Self.decode(body)
        else { return .nonsense("status \(status)") }
        return EtcdFailure(refusal)
    }

    /// Ends the work when its time is up, also in the middle of a body.
    private static func within<Value: Sendable>(
        _ patience: Duration, _ work: @escaping @Sendable () async throws -> Value
    ) async throws(EtcdFailure) -> Value {
        do {
            return try await withThrowingTaskGroup(of: Value.self) { group in
                group.addTask { try await work() }
                group.addTask {
                    try await Task.sleep(for: patience)
                    throw EtcdFailure.timedOut
                }
                defer { group.cancelAll() }
                guard let value = try await group.next() else { throw EtcdFailure.timedOut }
                return value
            }
        } catch {
            throw EtcdFailure(error)
        }
    }
}
