import ClusterModel
package import FaceModel
import Logging
package import Replication
import Synchronization

/// The replicas of other nodes over the wire. Letters to one node wait in a bounded queue and go in order, all that
/// queued while a request was under way with the next; what finds no room, or no node, is lost, as its sender expects
/// of the way. Safe to use from many tasks.
package final class RemoteReplicas: ReplicaPost {
    let connections: NodeConnections
    private let settings: TransportSettings
    private let metrics = LetterMetrics()
    let log = Logger(label: "facet.transport")
    private let outboxes = Mutex<[NodeID: Outbox]>([:])

    package init(_ connections: NodeConnections, settings: TransportSettings = TransportSettings()) {
        self.connections = connections
        self.settings = settings
    }

    package func send(_ letter: ReplicaLetter, to node: NodeID) {
        let bytes = letter.wireBytesMax
        guard bytes <= TransportLimits.letterBytesMax else {
            metrics.lost(1, .tooLong)
            return log.error(
                "a letter that no frame holds was not sent",
                metadata: ["node": "\(node)", "shard": "\(letter.shard)", "bytes": "\(bytes)"])
        }
        let (admission, isNews) = outboxes.withLock { outboxes in
            let admission = outboxes[node, default: Outbox()].add(letter, bytes: bytes, settings)
            return (admission, admission == .full && outboxes[node]?.note(failing: true) == true)
        }
        switch admission {
        case .first: Task { await deliver(to: node) }
        case .queued: break
        case .full:
            metrics.lost(1, .full)
            if isNews { failed(node, "too much waits for it") }
        }
    }

    package func report(
        of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> ReplicaReport? {
        guard let call = Self.call(deadline: deadline) else { return nil }
        do throws(CallFailure) {
            let answer: WireReportAnswer = try await connections.ask(
                node, .report, WireReportRequest(shard, call), deadline: deadline, shard: shard)
            do throws(BodyError) { return try answer.domain() } catch { throw .malformed(error) }
        } catch {
            log.debug(
                "a node reports nothing of its replica",
                metadata: ["node": "\(node)", "shard": "\(shard)", "reason": "\(error.text)"])
            return nil
        }
    }

    /// Letters that have not left; those of the request under way not among them.
    func waiting(for node: NodeID) -> Int { outboxes.withLock { $0[node]?.count ?? 0 } }

    /// Sends until nothing waits.
    private func deliver(to node: NodeID) async {
        while let letters = outboxes.withLock({ $0[node]?.next(max: settings.postBytesMax) }) {
            do throws(CallFailure) {
                try await post(letters, to: node)
                metrics.sent(letters.count)
                if outboxes.withLock({ $0[node]?.note(failing: false) == true }) {
                    log.notice("letters reach a node again", metadata: ["node": "\(node)"])
                }
            } catch {
                lose(letters, to: node, error)
            }
        }
    }

    private func post(_ letters: [ReplicaLetter], to node: NodeID) async throws(CallFailure) {
        let deadline = ContinuousClock.now + settings.postTimeout
        guard let call = Self.call(deadline: deadline) else { throw .deadlineExceeded }
        let _: WirePostAnswer = try await connections.ask(
            node, .post, WirePostRequest(letters, call), deadline: deadline, shard: letters[0].shard)
    }

    /// Where the node was not reached, what waited behind is lost as well: it is as old, and was said before.
    private func lose(_ letters: [ReplicaLetter], to node: NodeID, _ failure: CallFailure) {
        let (waiting, isNews) = outboxes.withLock { outboxes in
            let waiting = failure.isNodeGone ? outboxes[node]?.clear() ?? 0 : 0
            return (waiting, outboxes[node]?.note(failing: true) == true)
        }
        metrics.lost(letters.count + waiting, failure.isNodeGone ? .unreachable : .refused)
        if isNews { failed(node, failure.text) }
    }

    private func failed(_ node: NodeID, _ reason: String) {
        log.warning("letters to a node are lost", metadata: ["node": "\(node)", "reason": "\(reason)"])
    }

    static func call(deadline: ContinuousClock.Instant) -> WireCall? {
        var generator = SystemRandomNumberGenerator()
        return WireCall(request: RequestID(.random(using: &generator)), deadline: deadline, now: .now)
    }
}

extension CallFailure {
    /// Whether the node did not answer at all.
    fileprivate var isNodeGone: Bool {
        switch self {
        case .unreachable, .deadlineExceeded: true
        case .failed(let failure): if case .stopping = failure { true } else { false }
        case .busy, .tooLong, .malformed: false
        }
    }
}
