import AuditLedger
import ClusterModel
import FaceModel
import Logging
import Replication
import StorageIO
import WriteAheadLog

/// What applying one record of the ledger's log does.
enum LedgerChange: Sendable {
    /// With the position of its record.
    case leaf(LeafPayload, at: LogIndex)
    /// A signed checkpoint that another process wrote; it is held to this copy's own tree.
    case checkpoint(note: String, at: LogIndex)
    /// One of this process's own.
    case signed(size: UInt64)
}

/// An entry and its caller, who is resumed exactly once.
struct WaitingEntry: ReplicaRequest {
    typealias Errand = LedgerErrand

    var entry: LedgerEntry
    /// Not begun after this.
    var deadline: ContinuousClock.Instant
    var resume: @Sendable (Result<UInt64, LedgerError>) -> Void

    var estimatedBytes: Int {
        switch entry {
        case .intent, .order: 1_024
        case .result(let result): 1_024 + 20 * result.candidates.count
        }
    }

    func refuse(_ error: ShardError) { resume(.failure(LedgerError(error))) }
}

/// What a copy of the ledger keeps beside its log: the tree, the tiles, the newest checkpoint.
///
/// Every copy writes the same tiles from the same leaves, each its own files. A leaf stays in the log until its tiles are
/// durable. Only the copy that decides signs into the log, and only leaves that are applied: so no two of them ever sign
/// trees of which one is not a prefix of the other.
final class LedgerContent: ReplicaContent {
    private static let filingInterval = Duration.seconds(1)
    private static let retryInterval = Duration.seconds(1)
    /// From a batch to the checkpoint of its own that it gets where no other batch brings one: less than the time after
    /// which an idle log is confirmed, which then confirms the checkpoint too.
    private static let signingDelay = Duration.milliseconds(Limits.idleConfirmMilliseconds / 2)

    let store: LedgerFiles
    let view: LedgerView
    private let condition: ReplicaCondition
    private let reader: LedgerRecordReader
    let logger: Logger
    var copying: LedgerCopying
    /// Log positions of the leaves that no tile holds yet.
    private(set) var unflushed: [LogIndex] = []
    /// Size of the newest checkpoint in the log, and in the file.
    private var signedSize: UInt64
    private var filedSize: UInt64 = 0
    private var signingDue = ContinuousClock.now
    private var filingDue = ContinuousClock.now
    /// When a log that had no room is looked at again.
    private var roomDue: ContinuousClock.Instant?

    init(
        signedSize: UInt64, store: LedgerFiles, view: LedgerView, condition: ReplicaCondition,
        reader: LedgerRecordReader, copying: LedgerCopying, logger: Logger
    ) {
        self.signedSize = signedSize
        self.store = store
        self.view = view
        self.condition = condition
        self.reader = reader
        self.copying = copying
        self.logger = logger
    }

    private var committedSize: UInt64 { view.use { $0.machine.committedSize } }

    // MARK: Records

    func change(_ record: ReplicaRecord) throws(ReplicaError) -> LedgerChange? {
        switch RecordType(rawValue: record.type) {
        case .leaf:
            guard let payload = LeafPayload(bytes: record.payload) else {
                throw .record(record.lsn, reason: "it is not a leaf of a known form")
            }
            return .leaf(payload, at: record.lsn)
        case .signedCheckpoint:
            return .checkpoint(note: String(decoding: record.payload, as: UTF8.self), at: record.lsn)
        case .noop, .epochStart: return nil
        case .put, .delete, .purge, .userIntent, .faceClaim, .userCommit, .bucketSplit, .shardSplit, .splitRelease,
            .splitAbort, .collectionClose, .config, .checkpoint, .suspend, .resume, .revoke, .quota, nil:
            throw .record(record.lsn, reason: "a record of type \(record.type) cannot stand in the ledger's log")
        }
    }

    func apply(_ changes: [LedgerChange], through index: LogIndex) throws(ReplicaError) {
        let before = committedSize
        for change in changes {
            switch change {
            case .leaf(let payload, let place): try take(payload, at: place)
            case .checkpoint(let note, let place): try hold(note, at: place)
            case .signed(let size): signedSize = max(signedSize, size)
            }
        }
        guard committedSize > before else { return }
        signingDue = .now + Self.signingDelay
        roomDue = nil
        condition.setWritesRefused(nil)
    }

    private func take(_ payload: LeafPayload, at place: LogIndex) throws(ReplicaError) {
        switch view.use({ $0.take(payload) }) {
        case .taken: unflushed.append(place)
        case .known: break
        case .contradicts(let reason): throw .record(place, reason: reason)
        }
    }

    /// A promise that another process signed is kept here too, or nothing more is.
    private func hold(_ note: String, at place: LogIndex) throws(ReplicaError) {
        let judged = view.use { $0.machine.judge(note) }
        switch judged {
        case .success(let size): signedSize = max(signedSize, size)
        case .failure(let fault): throw .record(place, reason: fault.reason)
        }
    }

    // MARK: Entries

    func propose(_ requests: [WaitingEntry], to writer: ReplicaWriter<LedgerContent>) {
        var batch = LedgerBatch(view: view, reader: reader)
        for request in requests { batch.add(request) }
        var entries = batch.leaves.map {
            LogEntry(type: .leaf, token: RequestToken($0.leaf.search.bits), payload: $0.bytes)
        }
        var place = writer.core.log.last
        var changes: [LedgerChange] = []
        if !batch.leaves.isEmpty, let checkpoint = dueCheckpoint() {
            entries.insert(checkpoint.entry, at: 0)
            changes.append(.signed(size: checkpoint.size))
            place = place.next
        }
        for payload in batch.leaves {
            place = place.next
            changes.append(.leaf(payload, at: place))
        }
        let answers = batch.answers
        guard !answers.isEmpty else { return }
        writer.write(entries, changes) { result in
            let told = result.mapError { LedgerError($0) }
            for (request, index) in answers { request.resume(told.map { _ in index }) }
        }
        if condition.writesRefused != nil { roomDue = .now + Self.retryInterval }
    }

    /// Of the committed tree; nil where it is signed already.
    private func dueCheckpoint() -> (entry: LogEntry, size: UInt64)? {
        guard signedSize < committedSize else { return nil }
        let (note, size) = checkpoint()
        return (LogEntry(type: .signedCheckpoint, token: .none, payload: Array(note.utf8)), size)
    }

    private func checkpoint() -> (note: String, size: UInt64) {
        view.use { ($0.machine.checkpoint(), $0.machine.committedSize) }
    }

    // MARK: Between batches: what fails here is tried again, the log has the truth.

    func attend(_ writer: ReplicaWriter<LedgerContent>) {
        if writer.isEnding { copying.fetch?.cancel() }
        guard writer.failure == nil, !writer.isEnding else { return }
        lookForRoom(writer)
        if signs(writer), signingDue <= .now { sign(writer) }
        if filingDue <= .now { keepFiles(writer) }
    }

    func patience(_ writer: ReplicaWriter<LedgerContent>) -> Int? {
        guard writer.failure == nil else { return nil }
        var due: [ContinuousClock.Instant] = []
        if let roomDue { due.append(roomDue) }
        if signs(writer) { due.append(signingDue) }
        if filedSize < committedSize, copying.fetch == nil { due.append(filingDue) }
        return due.min().map { max(1, Int(ContinuousClock.now.duration(to: $0) / .milliseconds(1)) + 1) }
    }

    private func signs(_ writer: ReplicaWriter<LedgerContent>) -> Bool {
        writer.core.isServing && writer.outstanding == nil && signedSize < committedSize
    }

    /// Nothing came for a while: the last batch is signed by a record of its own.
    private func sign(_ writer: ReplicaWriter<LedgerContent>) {
        guard let checkpoint = dueCheckpoint() else { return }
        signingDue = .now + Self.retryInterval
        writer.write([checkpoint.entry], [.signed(size: checkpoint.size)]) { _ in }
        writer.synchronize()
    }

    /// A disk that was full refuses until it has room again, which is found without anybody asking.
    private func lookForRoom(_ writer: ReplicaWriter<LedgerContent>) {
        guard let due = roomDue, due <= .now, writer.outstanding == nil else { return }
        do throws(LogError) {
            try writer.log.makeRoom(for: [Limits.recordPayloadBytesMax / 2])
            roomDue = nil
            condition.setWritesRefused(nil)
        } catch {
            roomDue = .now + Self.retryInterval
            if !error.isTransient { writer.stop(.log(error)) }
        }
    }

    /// Not beside a fetch, which writes the same tiles.
    private func keepFiles(_ writer: ReplicaWriter<LedgerContent>) {
        guard copying.fetch == nil else { return }
        do throws(FileError) {
            try flush(writer)
            if filedSize < committedSize { try fileCheckpoint() }
        } catch {
            logger.warning("the ledger's tiles wait", metadata: ["reason": "\(error.sentence)"])
            filingDue = .now + Self.retryInterval
        }
    }

    private func flush(_ writer: ReplicaWriter<LedgerContent>) throws(FileError) {
        while true {
            let tiles = view.use { FullTiles(files: $0.machine.tilesToFlush()) }.files
            guard !tiles.isEmpty else { return }
            for (tile, bytes) in tiles { try store.write(bytes, as: tile) }
            view.use { $0.machine.flushed() }
            unflushed.removeFirst(Int(LedgerTile.width))
            cutLog(writer)
        }
    }

    /// The log keeps what no tile holds, and what copies may still ask for.
    private func cutLog(_ writer: ReplicaWriter<LedgerContent>) {
        var index = unflushed.first ?? writer.applied.next
        if writer.core.configuration.named.count > 1 {
            index = LogIndex(index.value - min(index.value, writer.surroundings.recordsKeptForCopies))
        }
        do throws(LogError) {
            try writer.log.truncate(before: index)
        } catch {
            logger.warning("the ledger's log keeps old segments", metadata: ["reason": "\(error.sentence)"])
        }
        writer.step(.logBegins(writer.log.firstIndex))
    }

    private func fileCheckpoint() throws(FileError) {
        let (note, size) = checkpoint()
        try store.writeText(note, to: store.checkpointPath)
        filedSize = size
        filingDue = .now + Self.filingInterval
    }

    // MARK: The end

    func finish(_ writer: ReplicaWriter<LedgerContent>) {
        guard writer.failure == nil else { return }
        if writer.core.isAlone, signs(writer) { sign(writer) }
        if writer.failure == nil { keepFiles(writer) }
    }

    func close(_ error: ShardError) {
        _ = condition.close(error)
        // So that another copy is asked, whatever ends this one.
        view.fail(.stopped(reason: LedgerError(error).reason))
    }
}

private struct FullTiles: Sendable {
    var files: [(tile: LedgerTile, bytes: [UInt8])]
}
