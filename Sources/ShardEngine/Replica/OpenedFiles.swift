import ClusterModel
import FaceModel
import Logging
import SegmentStore
import StorageIO
import VectorSearch
import WriteAheadLog

/// A replica's files after recovery: log, state and segments agree, and the snapshot shows every live face.
///
/// Recovery is the normal open. The log is replayed from the older of two positions: what `state.sqlite` has applied
/// and what the segments hold; each record goes where it is missing.
struct OpenedFiles {
    let log: Log
    let state: ShardState
    let store: ReplicaStore
    /// The buckets below the subtree root that the shard owns.
    let tree: DatedTree

    var snapshot: SearchSnapshot { store.snapshot }

    init(
        _ descriptor: ShardDescriptor, _ mode: OpenMode, in folder: ShardFolder, mapsPlanes: Bool = false,
        logger: Logger
    ) throws(ReplicaError) {
        switch mode {
        case .making: try folder.make(descriptor)
        case .existing: try folder.requireFiles()
        }
        let state = try ShardState(path: folder.state)
        self.state = state
        store = try ReplicaStore(
            descriptor, directory: folder.segments, mapsPlanes: mapsPlanes, on: folder.files)
        try store.reconcile(with: state)
        log = try Self.openLog(descriptor, directory: folder.log, on: folder.files, logger: logger)
        try Self.requireContinuity(log, store: store, applied: try state.applied())
        try Self.replay(log, into: store, state)
        try store.requireEveryFace(of: state)
        let roots = try state.roots()
        guard roots.count == 1 else {
            throw .contradiction(reason: "it owns \(roots.count) subtree roots; this version serves shards of one")
        }
        tree = try state.tree(dimension: descriptor.dimension)
        try store.requireBuckets(of: tree.tree)
        if mode == .making, descriptor.roots.sorted() != roots { throw .otherRoots(owned: roots) }
    }

    private static func openLog(
        _ descriptor: ShardDescriptor, directory: String, on files: any FileSystem, logger: Logger
    ) throws(ReplicaError) -> Log {
        do throws(LogError) {
            let (log, recovery) = try Log.open(directory: directory, identity: LogIdentity(descriptor), on: files)
            if !recovery.isClean {
                logger.warning("the log's tail was torn and is cut off", metadata: ["recovery": "\(recovery)"])
            }
            return log
        } catch {
            throw .log(error)
        }
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

    private static func replay(_ log: Log, into store: ReplicaStore, _ state: ShardState) throws(ReplicaError) {
        let applied = try state.applied()
        var missing: [Change] = []
        var buffered: [PutRecord] = []
        var deleted: Set<FaceID> = []
        var failure: ReplicaError?
        do throws(LogError) {
            try log.read(from: min(applied, store.flushedThrough).next) { (record) throws(LogError) in
                guard failure == nil else { return }
                do throws(ReplicaError) {
                    guard let change = try Change(record) else { return }
                    if record.lsn > applied { missing.append(change) }
                    guard record.lsn > store.flushedThrough else { return }
                    switch change {
                    case .config, .split: break
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
        let places = try state.places(of: missing.deletedIDs)
        if log.lastIndex > applied { try state.apply(missing, through: log.lastIndex) }
        for (id, place) in places { store.markDead(id, at: place) }
        for put in buffered where !deleted.contains(put.id) { try store.buffer(put.row) }
    }
}

extension Change {
    /// Nil for records that change no face.
    init?(_ record: LogRecord) throws(ReplicaError) {
        switch record.type {
        case .put: self = .put(try PutRecord(payload: record.payload, at: record.lsn))
        case .delete: self = .delete(try DeleteRecord(payload: record.payload, at: record.lsn))
        case .config: self = .config(try ConfigRecord(payload: record.payload, at: record.lsn))
        case .bucketSplit: self = .split(try BucketSplit(payload: record.payload, at: record.lsn), at: record.lsn)
        case .noop, .epochStart: return nil
        case .purge, .userIntent, .faceClaim, .userCommit, .shardSplit, .splitRelease, .splitAbort,
            .collectionClose, .checkpoint, .leaf, .suspend, .resume, .revoke, .quota, .signedCheckpoint:
            throw .record(record.lsn, reason: "a record of type \(record.type) cannot stand in this shard's log")
        }
    }
}

extension PutRecord {
    var row: SegmentRow { SegmentRow(id: id, leaf: leaf, vector: vector, record: record) }
}
