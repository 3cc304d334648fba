import AuditLedger
import FaceModel
import Logging
import Replication
import StorageIO
import WriteAheadLog

/// Brings a copy of the ledger back from its tiles and its log, and holds both to every signed checkpoint found.
///
/// What a tile holds was committed. The log's leaves behind that are checked, and count once the protocol between copies
/// says so.
struct LedgerRecovery {
    private(set) var opened: OpenedLog
    /// As far as tiles go.
    private(set) var state: LedgerView.State
    /// The position of the last leaf that a tile holds.
    private(set) var applied: LogIndex
    /// The log's records behind it.
    private(set) var unapplied: [ReplicaRecord] = []
    /// Size of the newest signed checkpoint found.
    private(set) var signedSize: UInt64 = 0

    /// `register` is the ledger's, where it could be read.
    init(
        _ store: LedgerFiles, settings: LedgerSettings, machine: LedgerMachine, register: RegisterState?, logger: Logger
    ) throws(LedgerError) {
        state = LedgerView.State(machine: machine)
        opened = try Self.openLog(store, settings: settings, register: register, logger: logger)
        applied = LogIndex(opened.log.firstIndex.value - 1)
        try begin(as: register ?? opened.memory.register, in: store.directory)
        do throws(FileError) {
            try readBundles(store)
        } catch {
            throw .damaged(reason: error.sentence)
        }
        try readLog()
        try requireCheckpoint(store)
        state.machine.forgetUnflushed()
        do throws(ReplicaError) { try opened.adopt() } catch { throw .stopped(reason: error.text) }
    }

    private static func openLog(
        _ store: LedgerFiles, settings: LedgerSettings, register: RegisterState?, logger: Logger
    ) throws(LedgerError) -> OpenedLog {
        do throws(ReplicaError) {
            return try OpenedLog(
                settings.logIdentity, directory: store.walDirectory, memoryIn: store.directory, register: register,
                held: nil, on: store.files, logger: logger)
        } catch {
            throw error.isDamage ? .damaged(reason: error.text) : .stopped(reason: error.text)
        }
    }

    /// Gives a new ledger its first record, and its log room for hundreds of searches: a disk that others fill later must
    /// not keep the first search from its entry. Only the copy that begins a ledger does, in the epoch in which nobody
    /// has decided yet; one that counts and has nothing has lost it; others receive it.
    private mutating func begin(as register: RegisterState, in directory: String) throws(LedgerError) {
        let configuration = register.configuration
        guard opened.log.lastIndex == .zero, configuration.isr.contains(opened.identity.replica) else { return }
        guard configuration.epoch == Epoch(1), configuration.primary == opened.identity.replica else {
            throw .stopped(
                reason: "there is no ledger in \(directory): is the disk mounted? An empty ledger would hide every "
                    + "search ever made, so none is begun")
        }
        do throws(LogError) {
            let first = LogEntry(type: .epochStart, token: .none, payload: [])
            _ = try opened.log.append([first], epoch: configuration.epoch)
            try opened.log.synchronize()
        } catch {
            throw .stopped(reason: "write-ahead log: \(error.sentence)")
        }
        opened.scanned.outline = opened.log.outline
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
            state.machine.recover(bundle: entries)
            for (position, entry) in entries.enumerated() {
                guard let leaf = Leaf(bytes: entry) else { continue }
                state.note(leaf, at: number * LedgerTile.width + UInt64(position))
            }
            number += 1
        }
    }

    private mutating func readLog() throws(LedgerError) {
        var failure: LedgerError?
        do throws(LogError) {
            try opened.log.read(from: opened.log.firstIndex) { record in
                if failure == nil { failure = take(record) }
            }
        } catch {
            throw .damaged(reason: "write-ahead log: \(error.sentence)")
        }
        if let failure { throw failure }
    }

    /// Why a record cannot stand in this log; nil when it was taken.
    private mutating func take(_ record: LogRecord) -> LedgerError? {
        unapplied.append(ReplicaRecord(record))
        switch record.type {
        case .leaf:
            guard let payload = LeafPayload(bytes: record.payload) else {
                return .damaged(reason: "log record \(record.lsn) is not a leaf of a known form")
            }
            if case .contradicts(let reason) = state.machine.take(payload) { return .damaged(reason: reason) }
            if payload.index < state.machine.flushedSize { (applied, unapplied) = (record.lsn, []) }
            return nil
        case .signedCheckpoint:
            return judge(String(decoding: record.payload, as: UTF8.self), source: "log record \(record.lsn)")
        case .noop, .epochStart: return nil
        case .put, .delete, .purge, .userIntent, .faceClaim, .userCommit, .bucketSplit, .shardSplit, .splitRelease,
            .splitAbort, .collectionClose, .config, .checkpoint, .suspend, .resume, .revoke, .quota:
            return .damaged(reason: "a record of type \(record.type) cannot stand in the ledger's log")
        }
    }

    private mutating func requireCheckpoint(_ store: LedgerFiles) throws(LedgerError) {
        let bundles = state.machine.flushedSize / LedgerTile.width
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
        switch state.machine.judge(note) {
        case .success(let size):
            signedSize = max(signedSize, size)
            return nil
        case .failure(let error): return .damaged(reason: "\(source): \(error.reason)")
        }
    }
}

extension LedgerSettings {
    var shard: ShardID { ShardID(cluster) }

    var logIdentity: LogIdentity {
        LogIdentity(
            tenant: .cluster, collection: CollectionUID(cluster), shard: shard, replica: replica,
            generation: Generation(0))
    }
}
