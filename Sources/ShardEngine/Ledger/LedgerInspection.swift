package import AuditLedger
import FaceModel
package import StorageIO
import WriteAheadLog

/// Reads a whole ledger, beside a running server or without one, and recomputes everything. Changes nothing.
///
/// Order matters beside a running server: the checkpoint file first, then the log, then the tiles. What the server
/// moves or signs meanwhile is then more than was read, never less.
package struct LedgerInspection {
    package struct Report: Sendable {
        package var verifierKey = ""
        package var leaves: UInt64 = 0
        package var bundles: UInt64 = 0
        /// Leaves that stand in the log alone.
        package var loggedLeaves: UInt64 = 0
        /// Leaves before this one are covered by a signed checkpoint that was checked.
        package var provenSize: UInt64 = 0
        package var checkpoints = 0
        package var privatesOpened = 0
        package var privatesDestroyed = 0
        package var root: [UInt8] = []
        /// The first thing that is wrong; nil for a whole ledger.
        package var fault: LedgerFault?
        /// What an operator should know though nothing acknowledged is wrong.
        package var notes: [String] = []
    }

    private let store: LedgerFiles
    private let recordKey: [UInt8]?
    private var report = Report()

    /// - Parameters:
    ///   - verifierKey: text of the key to trust; nil trusts the one beside the ledger, which an editor could replace.
    ///   - recordKey: `MasterKey.ledgerRecordKey`; nil checks private records for rot only.
    ///   - witnessed: checkpoints that someone kept elsewhere; they show what was cut off together with its checkpoints.
    package static func verify(
        directory: String, verifierKey: String? = nil, recordKey: [UInt8]? = nil, witnessed: [String] = [],
        on files: any FileSystem
    ) -> Report {
        var inspection = LedgerInspection(
            store: LedgerFiles(directory: directory, files: files), recordKey: recordKey)
        do throws(LedgerFault) {
            try inspection.run(verifierKey: verifierKey, witnessed: witnessed)
        } catch {
            inspection.report.fault = error
        }
        return inspection.report
    }

    private init(store: LedgerFiles, recordKey: [UInt8]?) {
        self.store = store
        self.recordKey = recordKey
    }

    private mutating func run(verifierKey: String?, witnessed: [String]) throws(LedgerFault) {
        let key = try trustedKey(verifierKey)
        report.verifierKey = key.text
        var verifier = LedgerVerifier(verifierKey: key, recordKey: recordKey)
        defer { tally(verifier) }
        for note in witnessed { try verifier.add(checkpoint: note, source: "the witnessed checkpoint") }
        if let note = try text(store.checkpointPath) {
            try verifier.add(checkpoint: note, source: store.checkpointPath)
        }
        let logged = LoggedRecords(store)
        try addBundles(to: &verifier)
        for record in logged.records { try add(record, to: &verifier) }
        if let failure = logged.failure { throw failure.fault(at: verifier.size, on: store.files) }
        if let tail = logged.tornTail { report.notes.append(tail) }
        try verifier.finish()
        if let damage = ReplicaMemoryFile.damage(in: store.directory, on: store.files) {
            throw LedgerFault(.file(path: store.directory + "/replica"), damage)
        }
        if verifier.provenSize < verifier.size {
            report.notes.append(
                "leaves \(verifier.provenSize) to \(verifier.size - 1) are not covered by a signed checkpoint yet")
        }
    }

    private func trustedKey(_ given: String?) throws(LedgerFault) -> VerifierKey {
        if let given {
            guard let key = VerifierKey(text: given.trimmed) else {
                throw LedgerFault(.file(path: "verifier key"), "is not one: name+hash+base64 is expected")
            }
            return key
        }
        guard let found = try text(store.verifierKeyPath) else {
            throw LedgerFault(.file(path: store.verifierKeyPath), "is missing: is this a ledger's directory?")
        }
        guard let key = VerifierKey(text: found.trimmed) else {
            throw LedgerFault(.file(path: store.verifierKeyPath), "is altered: its hash is not that of its key")
        }
        return key
    }

    private mutating func addBundles(to verifier: inout LedgerVerifier) throws(LedgerFault) {
        while try exists(.entries(report.bundles)) {
            let number = report.bundles
            if let note = String(validating: try bytes(.checkpoint(number)), as: UTF8.self) {
                try verifier.add(checkpoint: note, source: LedgerTile.checkpoint(number).path)
            } else {
                throw LedgerFault(.file(path: LedgerTile.checkpoint(number).path), "is not text")
            }
            try verifier.add(
                bundle: number, entries: try bytes(.entries(number)), privates: try bytes(.privates(number)),
                hashes: try bytes(.hashes(level: 0, number: number)))
            for tile in LedgerMachine.hashTiles(endingAt: verifier.size).dropFirst() {
                try verifier.check(tile: tile, bytes: try bytes(tile))
            }
            report.bundles += 1
        }
    }

    private mutating func add(_ record: LogRecord, to verifier: inout LedgerVerifier) throws(LedgerFault) {
        switch record.type {
        case .leaf:
            guard let payload = LeafPayload(bytes: record.payload) else {
                throw LedgerFault(
                    .leaf(verifier.size, search: nil), "log record \(record.lsn) is not a leaf of a known form")
            }
            let before = verifier.size
            try verifier.add(logged: payload)
            report.loggedLeaves += verifier.size - before
        case .signedCheckpoint:
            try verifier.add(
                checkpoint: String(decoding: record.payload, as: UTF8.self), source: "log record \(record.lsn)")
        case .noop, .epochStart: return
        case .put, .delete, .purge, .userIntent, .faceClaim, .userCommit, .bucketSplit, .shardSplit, .splitRelease,
            .splitAbort, .collectionClose, .config, .checkpoint, .suspend, .resume, .revoke, .quota:
            throw LedgerFault(
                .file(path: store.walDirectory), "record \(record.lsn) of type \(record.type) cannot stand here")
        }
    }

    private mutating func tally(_ verifier: LedgerVerifier) {
        report.leaves = verifier.size
        report.provenSize = verifier.provenSize
        report.checkpoints = verifier.checkpointsChecked
        report.privatesOpened = verifier.privatesOpened
        report.privatesDestroyed = verifier.privatesDestroyed
        report.root = verifier.root.bytes
    }

    private func exists(_ tile: LedgerTile) throws(LedgerFault) -> Bool {
        do throws(FileError) { return try store.exists(tile) } catch { throw unreadable(store.path(of: tile), error) }
    }

    private func bytes(_ tile: LedgerTile) throws(LedgerFault) -> [UInt8] {
        do throws(FileError) { return try store.read(tile) } catch { throw unreadable(tile.path, error) }
    }

    private func text(_ path: String) throws(LedgerFault) -> String? {
        do throws(FileError) { return try store.readText(path) } catch { throw unreadable(path, error) }
    }

    private func unreadable(_ path: String, _ error: FileError) -> LedgerFault {
        LedgerFault(.file(path: path), "cannot be read: \(error.sentence)")
    }
}

/// The log's records as far as they can be read, and what stopped the reading.
private struct LoggedRecords {
    private(set) var records: [LogRecord] = []
    private(set) var failure: LogError?
    private(set) var tornTail: String?

    init(_ store: LedgerFiles) {
        // A running server may remove a log segment between listing and reading; then the walk is made again.
        for _ in 0..<5 {
            read(store)
            guard case .file(.notFound) = failure else { return }
        }
    }

    private mutating func read(_ store: LedgerFiles) {
        (records, failure, tornTail) = ([], nil, nil)
        var found: [LogRecord] = []
        do throws(LogError) {
            let end = try Log.inspect(directory: store.walDirectory, on: store.files) { found.append($0) }
            if case .torn(let path, let offset) = end.tail {
                tornTail =
                    "\(path): the bytes from \(offset) on are no record: a write that was never acknowledged, or "
                    + "damage behind record \(end.lastIndex), the last one"
            }
        } catch {
            failure = error
        }
        records = found
    }
}

extension LogError {
    /// The fault of a log whose walk ended here, after `leaves` leaves.
    fileprivate func fault(at leaves: UInt64, on files: any FileSystem) -> LedgerFault {
        switch self {
        case .lossProven(let path, let offset, _):
            let damaged = DamagedRecord(path: path, offset: offset, on: files)
            return damaged.isLeaf
                ? LedgerFault(.leaf(leaves, search: damaged.search), sentence)
                : LedgerFault(.file(path: path), sentence)
        case .damaged(let path, let offset, let reason):
            return LedgerFault(.file(path: path), "at byte \(offset): \(reason)")
        case .newerFormat(let path, _, _), .wrongIdentity(let path, _), .noSpace(let path),
            .writeFailed(let path, _):
            return LedgerFault(.file(path: path), sentence)
        case .file(.notFound(let path)), .file(.alreadyExists(let path)), .file(.noSpace(let path, _)),
            .file(.failed(let path, _, _)), .file(.truncated(let path, _, _)):
            return LedgerFault(.file(path: path), sentence)
        case .stopped, .recordTooLarge, .recordsRemoved: return LedgerFault(.file(path: "wal"), sentence)
        }
    }
}

/// What the bytes of a damaged log record still tell (docs/formats/wal.md): a leaf's record carries its search as token.
private struct DamagedRecord {
    private static let tokenOffset = 40
    private static let headerBytes = 56
    var isLeaf = true
    var search: SearchID?

    init(path: String, offset: Int, on files: any FileSystem) {
        guard let handle = try? files.open(path, .read) else { return }
        defer { handle.close() }
        guard let header = try? handle.read(count: Self.headerBytes, at: offset) else { return }
        let token = Array(header[Self.tokenOffset...])
        isLeaf = header[12] != RecordType.signedCheckpoint.rawValue || token.contains { $0 != 0 }
        let start = offset + Self.headerBytes + LeafPayload.headBytes
        guard isLeaf, let leaf = try? handle.read(count: Leaf.byteCount, at: start) else { return }
        let told = Array(leaf[Leaf.searchRange])
        // Two copies that agree are believed; one of two that differ is the damage.
        if told == token { search = SearchID(Bits128(bigEndian: token)) }
    }
}
