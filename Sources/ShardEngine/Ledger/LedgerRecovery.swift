import AuditLedger
import FaceModel
import StorageIO
import WriteAheadLog

/// Brings a ledger back from its tiles and its log's tail, and holds it to every signed checkpoint found.
struct LedgerRecovery {
    let log: Log
    private(set) var machine: LedgerMachine
    private(set) var index: [SearchID: [UInt64]] = [:]
    /// Log positions of the leaves that no tile holds yet.
    private(set) var unflushed: [LogIndex] = []
    /// Size of the newest signed checkpoint found.
    private(set) var signedSize: UInt64 = 0
    /// Where the log's tail was torn and is cut off; nil for a clean one.
    let torn: String?

    init(_ store: LedgerFiles, settings: LedgerSettings, machine: LedgerMachine) throws(LedgerError) {
        self.machine = machine
        (log, torn) = try Self.openLog(store, settings: settings)
        do throws(FileError) {
            try readBundles(store)
        } catch {
            throw .damaged(reason: error.sentence)
        }
        try readLog(store)
        try requireCheckpoint(store)
    }

    private static func openLog(
        _ store: LedgerFiles, settings: LedgerSettings
    ) throws(LedgerError) -> (log: Log, torn: String?) {
        let identity = LogIdentity(
            tenant: .cluster, collection: CollectionUID(settings.cluster), shard: ShardID(settings.cluster),
            replica: ReplicaID(settings.cluster), generation: Generation(0))
        do throws(LogError) {
            let (log, recovery) = try Log.open(directory: store.walDirectory, identity: identity, on: store.files)
            guard case .torn(let path, let offset) = recovery.tail else { return (log, nil) }
            return (log, "\(path), byte \(offset)")
        } catch {
            throw error.isTransient
                ? .stopped(reason: "\(error.sentence)") : .damaged(reason: "write-ahead log: \(error.sentence)")
        }
    }

    /// A bundle counts when its entries are there: they are written last.
    private mutating func readBundles(_ store: LedgerFiles) throws(FileError) {
        var number: UInt64 = 0
        while try store.exists(.entries(number)) {
            let path = store.path(of: .entries(number))
            let bytes = try store.read(.entries(number))
            guard let entries = LedgerBundle.rawEntries(bytes), entries.count == Int(LedgerTile.width) else {
                throw .truncated(path: path, offset: bytes.count, wanted: Int(LedgerTile.width) * (Leaf.byteCount + 2))
            }
            machine.recover(bundle: entries)
            for (position, entry) in entries.enumerated() {
                guard let leaf = Leaf(bytes: entry) else { continue }
                index[leaf.search, default: []].append(number * LedgerTile.width + UInt64(position))
            }
            number += 1
        }
    }

    private mutating func readLog(_ store: LedgerFiles) throws(LedgerError) {
        var failure: LedgerError?
        do throws(LogError) {
            try log.read(from: log.firstIndex) { record in
                if failure == nil { failure = take(record) }
            }
        } catch {
            throw .damaged(reason: "write-ahead log: \(error.sentence)")
        }
        if let failure { throw failure }
    }

    /// Why a record cannot stand in this log; nil when it was taken.
    private mutating func take(_ record: LogRecord) -> LedgerError? {
        switch record.type {
        case .leaf:
            guard let payload = LeafPayload(bytes: record.payload) else {
                return .damaged(reason: "log record \(record.lsn) is not a leaf of a known form")
            }
            switch machine.recover(payload) {
            case .known: return nil
            case .taken:
                index[payload.leaf.search, default: []].append(payload.index)
                unflushed.append(record.lsn)
                return nil
            case .contradicts(let reason): return .damaged(reason: reason)
            }
        case .signedCheckpoint:
            return judge(String(decoding: record.payload, as: UTF8.self), source: "log record \(record.lsn)")
        case .noop, .epochStart: return nil
        case .put, .delete, .purge, .userIntent, .faceClaim, .userCommit, .bucketSplit, .shardSplit, .splitRelease,
            .splitAbort, .collectionClose, .config, .checkpoint, .suspend, .resume, .revoke, .quota:
            return .damaged(reason: "a record of type \(record.type) cannot stand in the ledger's log")
        }
    }

    private mutating func requireCheckpoint(_ store: LedgerFiles) throws(LedgerError) {
        let bundles = machine.flushedSize / LedgerTile.width
        var notes: [(text: String, source: String)] = []
        do throws(FileError) {
            if let text = try store.readText(store.checkpointPath) { notes.append((text, store.checkpointPath)) }
            if bundles > 0, let text = try store.readText(store.path(of: .checkpoint(bundles - 1))) {
                notes.append((text, store.path(of: .checkpoint(bundles - 1))))
            }
        } catch {
            throw .damaged(reason: error.sentence)
        }
        for note in notes {
            if let failure = judge(note.text, source: note.source) { throw failure }
        }
    }

    private mutating func judge(_ note: String, source: String) -> LedgerError? {
        guard let checkpoint = machine.verifierKey.open(note) else {
            return .damaged(reason: "\(source) is not a checkpoint signed by this ledger's key")
        }
        if let reason = machine.contradiction(to: checkpoint) {
            return .damaged(reason: "\(reason) (\(source)); `facectl ledger verify` names the leaf")
        }
        signedSize = max(signedSize, checkpoint.size)
        return nil
    }
}

extension LogError {
    /// One sentence for an operator.
    var sentence: String {
        switch self {
        case .noSpace(let path): "no space left on the disk for \(path)"
        case .file(let error): error.sentence
        case .writeFailed(_, let error): "a write failed, what is on disk is unknown: \(error.sentence)"
        case .stopped: "the log takes nothing more after a failed write"
        case .recordTooLarge(let bytes, let limit): "a record of \(bytes) bytes is over the limit of \(limit)"
        case .recordsRemoved(let wanted, let first): "the log begins at record \(first), and \(wanted) is wanted"
        case .lossProven(let path, let offset, let lsn):
            "record \(lsn) in \(path) at byte \(offset) is altered or lost: later records prove that it was durable"
        case .damaged(let path, let offset, let reason): "\(path) at byte \(offset): \(reason)"
        case .newerFormat(let path, let found, let supported):
            "\(path) has format \(found); this version reads up to \(supported)"
        case .wrongIdentity(let path, let field): "\(path) belongs to another ledger: its \(field) differs"
        }
    }
}
