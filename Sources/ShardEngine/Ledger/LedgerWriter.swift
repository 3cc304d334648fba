import AuditLedger
import Dispatch
import FaceModel
import Logging
import StorageIO
import WriteAheadLog

/// The one owner of the ledger's files: appends what is queued in batches, one `fdatasync` each, signs what is durable,
/// moves full tiles out of the log. Runs on a thread of its own.
final class LedgerWriter {
    private static let checkpointFileInterval = DispatchTimeInterval.seconds(1)
    private static let retryInterval = DispatchTimeInterval.seconds(1)

    private let store: LedgerFiles
    private let log: Log
    private let view: LedgerView
    private let inbox: LedgerInbox
    private let logger: Logger
    private var unflushed: [LogIndex]
    /// Size of the newest checkpoint in the log, and in the file.
    private var signedSize: UInt64
    private var filedSize: UInt64
    private var checkpointFileDue = DispatchTime.now()
    private var retryDue: DispatchTime?
    private var stopping: [@Sendable () -> Void] = []

    init(_ recovery: LedgerRecovery, store: LedgerFiles, view: LedgerView, inbox: LedgerInbox, logger: Logger) {
        self.store = store
        self.view = view
        self.inbox = inbox
        self.logger = logger
        log = recovery.log
        unflushed = recovery.unflushed
        signedSize = recovery.signedSize
        filedSize = recovery.signedSize
    }

    /// Returns when asked to stop.
    func run() {
        reserve()
        maintain()
        while stopping.isEmpty {
            let items = inbox.take(until: nextDeadline)
            if items.isEmpty { idle() } else { handle(items) }
            maintain()
        }
        close()
    }

    private var committedSize: UInt64 { view.use { $0.machine.committedSize } }
    private var isUsable: Bool { view.use { $0.failure == nil } }

    private var nextDeadline: DispatchTime? {
        guard isUsable else { return nil }
        var deadlines: [DispatchTime] = []
        if let retryDue { deadlines.append(retryDue) }
        if retryDue == nil, signedSize < committedSize {
            deadlines.append(.now() + .milliseconds(Limits.idleConfirmMilliseconds))
        }
        if filedSize < committedSize { deadlines.append(max(checkpointFileDue, .now() + .milliseconds(1))) }
        return deadlines.min()
    }

    private func handle(_ items: [LedgerInbox.Item]) {
        var batch: [(entry: LedgerEntry, reply: LedgerInbox.Reply)] = []
        for item in items {
            switch item {
            case .entry(let entry, let reply): batch.append((entry, reply))
            case .stop(let done): stopping.append(done)
            }
        }
        while !batch.isEmpty {
            let count = commit(batch)
            batch.removeFirst(count)
        }
    }

    /// Nothing came for a while: the last batch is confirmed by a checkpoint of its own; a full disk is tried again.
    private func idle() {
        guard isUsable else { return }
        if signedSize < committedSize || retryDue.map({ $0 <= .now() }) == true {
            _ = write(checkpoint(), leaves: [])
        }
    }

    /// Appends a prefix of `batch` that fits one write and answers its callers; returns how many.
    private func commit(_ batch: [(entry: LedgerEntry, reply: LedgerInbox.Reply)]) -> Int {
        var payloads: [LeafPayload] = []
        var replies: [LedgerInbox.Reply] = []
        var (bytes, taken) = (0, 0)
        for (entry, reply) in batch where bytes < Limits.batchBytesMax / 2 {
            taken += 1
            var generator = SystemRandomNumberGenerator()
            let prepared = Self.tooLarge(entry).map(Result.failure) ?? view.prepare(entry, using: &generator)
            switch prepared {
            case .success(let payload):
                payloads.append(payload)
                replies.append(reply)
                bytes += payload.sealed.count + 256
            case .failure(let error): reply(.failure(error))
            }
        }
        guard !payloads.isEmpty else { return taken }
        let failure = write(signedSize < committedSize ? checkpoint() : nil, leaves: payloads)
        for (payload, reply) in zip(payloads, replies) {
            reply(failure.map(Result.failure) ?? .success(payload.index))
        }
        return taken
    }

    private static func tooLarge(_ entry: LedgerEntry) -> LedgerError? {
        let bytes = PrivateRecord.encode(entry).count
        let limit = Limits.recordPayloadBytesMax / 2
        return bytes <= limit
            ? nil : .refusing(reason: "a search record of \(bytes) bytes is over the limit of \(limit)")
    }

    private func checkpoint() -> (note: String, size: UInt64) {
        view.use { ($0.machine.checkpoint(), $0.machine.committedSize) }
    }

    /// Gives a new ledger its first log segment, room for hundreds of searches: a disk that others fill later must not
    /// keep the first search from its entry.
    private func reserve() {
        guard log.lastIndex == .zero else { return }
        do throws(LogError) {
            _ = try log.append([LogEntry(type: .epochStart, token: .none, payload: [])], epoch: log.epoch)
            try log.synchronize()
        } catch {
            _ = refused(error)
        }
    }

    /// One append and one sync. Nil when all of it is durable; else nothing of it counts.
    private func write(_ checkpoint: (note: String, size: UInt64)?, leaves: [LeafPayload]) -> LedgerError? {
        var entries = leaves.map {
            LogEntry(type: .leaf, token: RequestToken($0.leaf.search.bits), payload: $0.bytes)
        }
        if let checkpoint {
            entries.insert(
                LogEntry(type: .signedCheckpoint, token: .none, payload: Array(checkpoint.note.utf8)), at: 0)
        }
        do throws(LogError) {
            let last = try log.append(entries, epoch: log.epoch)
            try log.synchronize()
            if let checkpoint { signedSize = checkpoint.size }
            let first = last.value + 1 - UInt64(leaves.count)
            unflushed += leaves.indices.map { LogIndex(first + UInt64($0)) }
        } catch {
            return refused(error)
        }
        retryDue = nil
        view.committed(leaves)
        return nil
    }

    private func refused(_ error: LogError) -> LedgerError {
        view.abandon(refusing: error.sentence)
        guard !error.isTransient else {
            if retryDue == nil {
                logger.warning("the ledger takes no entries", metadata: ["reason": "\(error.sentence)"])
            }
            retryDue = .now() + Self.retryInterval
            return .refusing(reason: error.sentence)
        }
        let failure = LedgerError.stopped(reason: "write-ahead log: \(error.sentence)")
        logger.critical("the ledger stops", metadata: ["reason": "\(failure.reason)"])
        view.fail(failure)
        return failure
    }

    // MARK: Maintenance: what fails here is tried again, the log has the truth.

    private func maintain() {
        guard isUsable else { return }
        do throws(FileError) {
            try flush()
            if filedSize < committedSize, checkpointFileDue <= .now() { try fileCheckpoint() }
        } catch {
            logger.warning("the ledger's tiles wait", metadata: ["reason": "\(error.sentence)"])
            checkpointFileDue = .now() + Self.retryInterval
        }
    }

    private func flush() throws(FileError) {
        while true {
            let tiles = view.use { FullTiles(files: $0.machine.tilesToFlush()) }.files
            guard !tiles.isEmpty else { return }
            for (tile, bytes) in tiles { try store.write(bytes, as: tile) }
            view.use { $0.machine.flushed() }
            unflushed.removeFirst(Int(LedgerTile.width))
            do throws(LogError) {
                try log.truncate(before: unflushed.first ?? log.lastIndex.next)
            } catch {
                logger.warning("the ledger's log keeps old segments", metadata: ["reason": "\(error.sentence)"])
            }
        }
    }

    /// Only what is in the log as well may stand in the file: whoever has the file has a promise.
    private func fileCheckpoint() throws(FileError) {
        let (note, size) = checkpoint()
        try store.writeText(note, to: store.checkpointPath)
        filedSize = size
        checkpointFileDue = .now() + Self.checkpointFileInterval
    }

    private func close() {
        let closed = LedgerError.stopped(reason: "the server is stopping")
        for item in inbox.close(closed) {
            switch item {
            case .entry(_, let reply): reply(.failure(closed))
            case .stop(let done): stopping.append(done)
            }
        }
        if isUsable {
            if signedSize < committedSize { _ = write(checkpoint(), leaves: []) }
            checkpointFileDue = .now()
            maintain()
        }
        view.fail(closed)
        for done in stopping { done() }
    }
}

private struct FullTiles: Sendable {
    var files: [(tile: LedgerTile, bytes: [UInt8])]
}

extension LedgerView {
    fileprivate func prepare(
        _ entry: LedgerEntry, using generator: inout some RandomNumberGenerator
    ) -> Result<LeafPayload, LedgerError> {
        use { state in
            if let failure = state.failure { return .failure(failure) }
            return .success(state.machine.prepare(entry, using: &generator))
        }
    }

    fileprivate func committed(_ leaves: [LeafPayload]) {
        use { state in
            state.machine.committed()
            for payload in leaves { state.index[payload.leaf.search, default: []].append(payload.index) }
            state.refusing = nil
        }
    }

    fileprivate func abandon(refusing reason: String) {
        use { state in
            state.machine.abandon()
            state.refusing = reason
        }
    }
}
