import AsyncHTTPClient
import ClusterModel
import Logging
import Synchronization

/// One reader of etcd's changes: a watch that is opened again after each failure at the revision behind the last one
/// told, and compared with the store in between, because a connection can die without a word.
///
/// Invariants: revisions told never fall; every transaction after the start is told once, or the stream ends in an
/// error.
final class EtcdWatch: Sendable {
    private enum End: Sendable {
        /// Open it again, elsewhere if possible.
        case failed(EtcdFailure)
        case gap(reason: String)
        case readerGone
    }

    private struct Progress {
        var seen: Revision
        /// A line has come over the connection in use.
        var heard = false
        var failures = 0
        /// Endpoints asked since one was last heard, or since each had its turn.
        var tried: Set<String> = []
    }

    private let etcd: EtcdControlPlane
    private let stream: ChangeStream
    private let progress: Mutex<Progress>

    private var configuration: EtcdConfiguration { etcd.client.configuration }

    init(_ etcd: EtcdControlPlane, after revision: Revision, into stream: ChangeStream) {
        self.etcd = etcd
        self.stream = stream
        progress = Mutex(Progress(seen: revision))
    }

    func run() async {
        while !Task.isCancelled {
            guard let address = nextEndpoint() else { break }
            switch await connection(to: address) {
            case .failed(let failure):
                if Task.isCancelled { break }
                etcd.client.failed(address, failure)
                try? await Task.sleep(for: pause())
            case .gap(let reason):
                return stream.finish(.unavailable(reason: "etcd: \(reason)", outcomeUnknown: false))
            case .readerGone:
                return stream.finish(nil)
            }
        }
        stream.finish(nil)
    }

    /// The first candidate that had no turn yet. Avoidance alone would not do: it may end before the pause between
    /// connections does, and a broken endpoint that is configured first would be asked for ever.
    private func nextEndpoint() -> String? {
        let candidates = etcd.client.candidates()
        return progress.withLock { progress in
            if progress.tried.isSuperset(of: candidates) { progress.tried = [] }
            let next = candidates.first { !progress.tried.contains($0) }
            if let next { progress.tried.insert(next) }
            return next
        }
    }

    /// Listens on one connection and compares with the store beside it, until either has a reason to stop.
    private func connection(to address: String) async -> End {
        progress.withLock { $0.heard = false }
        return await withTaskGroup(of: End.self) { group in
            group.addTask { await self.listen(to: address) }
            group.addTask { await self.compare() }
            defer { group.cancelAll() }
            return await group.next() ?? .readerGone
        }
    }

    /// Grows with failures in a row, with jitter so that many readers do not come back at once.
    private func pause() -> Duration {
        let failures = progress.withLock { progress in
            progress.failures = progress.heard ? 1 : progress.failures + 1
            return progress.failures
        }
        return .milliseconds(50 * (1 << min(failures, 5))) * Double.random(in: 0.5...1)
    }

    private func listen(to address: String) async -> End {
        let start = progress.withLock { EtcdNumber($0.seen.value + 1) }
        let create = EtcdWatchRequest.Create(key: etcd.stored(""), rangeEnd: etcd.end(""), startRevision: start)
        do {
            let body = try await etcd.client.stream(address + "/v3/watch", EtcdWatchRequest(createRequest: create))
            var lines = LineBuffer(bytesMax: configuration.answerBytesMax)
            for try await chunk in body {
                try lines.append(chunk)
                while let line = lines.next() {
                    if let end = try handle(EtcdClient.decode(line), from: address) { return end }
                }
            }
            return .failed(EtcdFailure(kind: .endpoint, reason: "the watch was closed", maybeDone: false))
        } catch {
            let failure = EtcdFailure(error)
            return failure.kind == .compacted ? .gap(reason: failure.reason) : .failed(failure)
        }
    }

    /// Nil while it goes on.
    private func handle(_ line: EtcdWatchLine, from address: String) throws(EtcdFailure) -> End? {
        if let refusal = line.error { throw EtcdFailure(refusal) }
        guard let result = line.result else { throw .nonsense("a line of a watch without a result") }
        _ = try etcd.client.accept(result, from: address)
        if result.canceled == true {
            let compacted = result.compactRevision?.value ?? 0
            guard compacted > 0 else {
                let reason = "the watch was cancelled: \(result.cancelReason ?? "no reason given")"
                throw EtcdFailure(kind: .endpoint, reason: reason, maybeDone: false)
            }
            return .gap(reason: "the changes up to revision \(compacted) were compacted away")
        }
        let changes = try changes(result.events ?? [])
        let open = progress.withLock { progress in
            progress.heard = true
            progress.tried = [address]
            return changes.filter { $0.revision > progress.seen }.allSatisfy { change in
                progress.seen = change.revision
                return stream.yield(change)
            }
        }
        return open ? nil : .readerGone
    }

    /// One element a revision, which is one transaction; etcd never divides one between lines.
    private func changes(_ events: [EtcdWatchLine.Event]) throws(EtcdFailure) -> [RegisterChanges] {
        var stored: [Revision: [StoredRegister]] = [:]
        var deleted: [Revision: [String]] = [:]
        var revisions: [Revision] = []
        for event in events {
            let register = etcd.register(event.kv)
            if revisions.last != register.revision { revisions.append(register.revision) }
            if event.type == "DELETE" {
                deleted[register.revision, default: []].append(register.path)
            } else if register.path != EtcdControlPlane.changedPath {
                stored[register.revision, default: []].append(register)
            }
        }
        guard zip(revisions, revisions.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw .nonsense("the revisions of a watch fall")
        }
        return revisions.map { revision in
            let decoded = DecodedRegisters(stored[revision] ?? [])
            return RegisterChanges(
                put: decoded.readable, unreadable: decoded.unreadable, deleted: deleted[revision] ?? [],
                revision: revision)
        }
    }

    /// Asks the store, by whichever endpoint answers, how far the changes go; what it names must have been told by the
    /// next time.
    private func compare() async -> End {
        var owed = Revision.absent
        var comparisons = 0
        repeat {
            let before = progress.withLock { $0.seen }
            if let (last, store) = try? await lastChange() {
                guard store >= before else {
                    return .gap(reason: "revision \(store.value) is older than \(before.value): was it restored?")
                }
                comparisons += 1
                let told = progress.withLock { progress in
                    let quiet = RegisterChanges(put: [], deleted: [], revision: progress.seen)
                    return last > progress.seen ? true : stream.yield(quiet)
                }
                guard told else { return .readerGone }
                let (seen, heard) = progress.withLock { ($0.seen, $0.heard) }
                guard seen >= owed, heard || comparisons < 3 else {
                    let reason = "the watch is silent after revision \(seen.value)"
                    return .failed(EtcdFailure(kind: .endpoint, reason: reason, maybeDone: false))
                }
                owed = last
            }
        } while (try? await Task.sleep(for: configuration.checkInterval)) != nil
        return .readerGone
    }

    /// The revision of the last transaction on this cluster's registers, and the store's own.
    private func lastChange() async throws(EtcdFailure) -> (last: Revision, store: Revision) {
        let answer: EtcdRangeResponse = try await etcd.client.ask(
            "/v3/kv/range", EtcdRangeRequest(key: etcd.stored(EtcdControlPlane.changedPath), keysOnly: true)
        ).answer
        guard let store = answer.header.revision else { throw .nonsense("no revision") }
        return (Revision(answer.kvs?.first?.modRevision.value ?? 0), Revision(store.value))
    }
}
