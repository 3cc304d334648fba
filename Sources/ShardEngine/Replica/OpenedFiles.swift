import ClusterModel
import FaceModel
import Logging
import Replication
import SegmentStore
import StorageIO
import VectorSearch
import WriteAheadLog

/// A replica's files after recovery: log, state and segments agree, and the snapshot shows every live face.
///
/// Recovery is the normal open. What was applied was committed: `state.sqlite` is brought at least as far as the segments
/// reach, and records that they lack are read from the log into the buffer as far as it has applied. Those behind are kept
/// until `ReplicaCore` says what they count.
struct OpenedFiles {
    var openedLog: OpenedLog
    let state: ShardState
    let store: ReplicaStore
    let applied: LogIndex
    /// The log's records behind `applied`.
    let unapplied: [ReplicaRecord]
    /// The buckets below the subtree root that the shard owns, at `applied`.
    let tree: DatedTree
    /// Of the shard, at `applied`.
    let split: ShardSplitState?

    var snapshot: SearchSnapshot { store.snapshot }

    init(
        _ descriptor: ShardDescriptor, _ mode: OpenMode, register: RegisterState?, in folder: ShardFolder,
        mapsPlanes: Bool = false, logger: Logger
    ) throws(ReplicaError) {
        switch mode {
        case .making: try folder.make(descriptor)
        case .joining:
            try folder.takeHalf()
            try folder.makeEmpty(descriptor)
        case .existing:
            try folder.takeHalf()
            try folder.requireFiles()
        }
        let state = try ShardState(path: folder.state)
        self.state = state
        store = try ReplicaStore(
            descriptor, directory: folder.segments, mapsPlanes: mapsPlanes, on: folder.files)
        openedLog = try OpenedLog(
            LogIdentity(descriptor), directory: folder.log, memoryIn: folder.path, register: register,
            held: max(try state.applied(), store.flushedThrough), on: folder.files, logger: logger)
        let log = openedLog.log
        try Self.requireHelp(for: store, openedLog)
        try Self.requireContinuity(log, store: store, applied: try state.applied())
        try Self.bring(state, to: store.flushedThrough, by: log)
        applied = try state.applied()
        try store.reconcile(with: state)
        unapplied = try Self.replay(log, into: store, through: applied, of: openedLog.acceptsLoss ? state : nil)
        if openedLog.acceptsLoss { try Self.forgetLostFaces(state, store, at: applied, logger: logger) }
        try store.requireEveryFace(of: state)
        let planned = try unapplied.lastRoots()
        let roots = if let planned { planned } else { try state.roots() }
        guard roots.count == 1 else {
            throw .contradiction(reason: "it owns \(roots.count) subtree roots; this version serves shards of one")
        }
        tree = try state.tree(dimension: descriptor.dimension)
        split = try state.split()
        try store.requireBuckets(of: tree.tree)
        if mode == .making, descriptor.roots.sorted() != roots { throw .otherRoots(owned: roots) }
        try settleLoss(in: folder)
        try openedLog.adopt()
    }

    /// A segment that cannot be opened is repaired with the help of other copies; where there are none, or where records
    /// are lost besides, it is a loss.
    private static func requireHelp(for store: ReplicaStore, _ opened: OpenedLog) throws(ReplicaError) {
        guard let fault = store.lostSegments.min(by: { $0.key < $1.key })?.value else { return }
        let hasHelp = opened.memory.register.configuration.named.count > 1 && !opened.acceptsLoss
        guard hasHelp else { throw .segments(fault) }
    }

    /// The log must reach back to what the segments lack, and forward to what state and segments already hold.
    private static func requireContinuity(
        _ log: Log, store: ReplicaStore, applied: LogIndex
    ) throws(ReplicaError) {
        let needed = min(applied, store.flushedThrough).next
        let held = max(applied, store.flushedThrough)
        guard log.firstIndex <= needed else {
            throw .inconsistent(reason: "the log begins at \(log.firstIndex), but \(needed) is needed")
        }
        guard log.lastIndex >= held else {
            throw .inconsistent(
                reason: "the log ends at \(log.lastIndex), but \(held) was applied: acknowledged records are lost")
        }
    }

    /// What the segments hold was applied. A crash may have taken the state back further than they reach, and a record
    /// that is applied again later would stand in the buffer, which no start after it fills from the segments' part of the
    /// log.
    private static func bring(
        _ state: ShardState, to index: LogIndex, by log: Log
    ) throws(ReplicaError) {
        var applied = try state.applied()
        while applied < index {
            let records: [LogRecord]
            do throws(LogError) {
                records = try log.records(from: applied.next, through: index, bytesMax: Limits.batchBytesMax)
            } catch {
                throw .log(error)
            }
            guard let last = records.last?.lsn else { preconditionFailure("the log reaches to what was flushed") }
            var changes: [Change] = []
            for record in records {
                if let change = try Change(ReplicaRecord(record)) { changes.append(change) }
            }
            try state.apply(changes, through: last)
            applied = last
        }
    }

    /// Puts into the buffer what was applied and the segments lack; returns what was not applied. Where records are lost,
    /// deletes may be among them: then only what lives in `state` is put.
    private static func replay(
        _ log: Log, into store: ReplicaStore, through applied: LogIndex, of state: ShardState?
    ) throws(ReplicaError) -> [ReplicaRecord] {
        var unapplied: [ReplicaRecord] = []
        var buffered: [PutRecord] = []
        var deleted: Set<FaceID> = []
        var failure: ReplicaError?
        do throws(LogError) {
            try log.read(from: store.flushedThrough.next) { (record) throws(LogError) in
                guard failure == nil else { return }
                guard record.lsn <= applied else { return unapplied.append(ReplicaRecord(record)) }
                do throws(ReplicaError) {
                    switch try Change(ReplicaRecord(record)) {
                    case .config, .split, .checkpoint, .shardSplit, .splitReleased, .splitAborted, nil: break
                    case .put(let put): buffered.append(put)
                    case .delete(let delete): deleted.insert(delete.id)
                    }
                } catch {
                    failure = error
                }
            }
        } catch {
            throw .log(error)
        }
        if let failure { throw failure }
        let living = try state.map { (state) throws(ReplicaError) in Set(try state.lookup(buffered.map(\.id)).map(\.id))
        }
        for put in buffered where !deleted.contains(put.id) && living?.contains(put.id) ?? true {
            try store.buffer(put.row)
        }
        return unapplied
    }
}

extension [ReplicaRecord] {
    /// The subtree roots that the shard will own once these are applied; nil where they do not say.
    fileprivate func lastRoots() throws(ReplicaError) -> [LeafID]? {
        guard let last = last(where: { $0.type == RecordType.config.rawValue }) else { return nil }
        return try ConfigRecord(payload: last.payload, at: last.lsn).roots.sorted()
    }
}

extension Change {
    /// Nil for records that change no face.
    init?(_ record: ReplicaRecord) throws(ReplicaError) {
        let type = RecordType(rawValue: record.type)
        switch type {
        case .put: self = .put(try PutRecord(payload: record.payload, token: record.token, at: record.lsn))
        case .delete: self = .delete(try DeleteRecord(payload: record.payload, token: record.token, at: record.lsn))
        case .config: self = .config(try ConfigRecord(payload: record.payload, at: record.lsn))
        case .bucketSplit: self = .split(try BucketSplit(payload: record.payload, at: record.lsn), at: record.lsn)
        case .checkpoint:
            self = .checkpoint(try CheckpointRecord(payload: record.payload, at: record.lsn).digest, at: record.lsn)
        case .shardSplit:
            let plan = try ShardSplitRecord(payload: record.payload, at: record.lsn).plan
            self = .shardSplit(
                ShardSplitState(plan, end: LogPoint(epoch: record.epoch, index: record.lsn)))
        case .splitRelease: self = .splitReleased(at: record.lsn)
        case .splitAbort: self = .splitAborted(at: record.lsn)
        case .noop, .epochStart: return nil
        case .purge, .userIntent, .faceClaim, .userCommit, .collectionClose, .leaf, .suspend, .resume, .revoke, .quota,
            .signedCheckpoint, nil:
            throw .record(record.lsn, reason: "a record of type \(record.type) cannot stand in this shard's log")
        }
    }
}

extension PutRecord {
    var row: SegmentRow { SegmentRow(id: id, leaf: leaf, vector: vector, record: record) }
}
