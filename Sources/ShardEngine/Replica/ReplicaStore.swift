import ClusterModel
import FaceModel
import SegmentStore
import StorageIO
import VectorSearch

/// A replica's vectors as its writer thread keeps them: segments, the buffer, and the snapshot readers get next.
///
/// Where a row stands is told by `state.sqlite` for segments and by `bufferRows` for the buffer.
final class ReplicaStore {
    let directory: String
    private let segments: SegmentStore
    private(set) var snapshot: SearchSnapshot
    private var buffer: Buffer
    private var bufferRows: [FaceID: Int] = [:]
    /// Live faces of the segments that could not be opened, as of then.
    private var facesOfLost = 0
    /// Faces of each lost segment that were deleted since its repair began.
    private var deletedOfLost: [UInt64: [FaceID]] = [:]

    init(
        _ descriptor: ShardDescriptor, directory: String, mapsPlanes: Bool = false, on files: any FileSystem
    ) throws(ReplicaError) {
        self.directory = directory
        do throws(SegmentError) {
            segments = try SegmentStore.open(
                directory: directory, identity: SegmentIdentity(descriptor), mapsPlanes: mapsPlanes, keepsLost: true,
                on: files)
        } catch {
            throw .segments(error)
        }
        buffer = Buffer(serial: 1, dimension: descriptor.dimension)
        snapshot = SearchSnapshot(dimension: descriptor.dimension)
        snapshot.show(buffer.view)
    }

    var flushedThrough: LogIndex { segments.flushedThrough }
    /// The segments rows can be placed in, as `state.sqlite` notes them beside the places.
    var segmentNumbers: [UInt64] { segments.numbers }
    /// Those that could not be opened, and why.
    var lostSegments: [UInt64: SegmentError] { segments.lost }
    var diskBytes: Int { segments.diskBytes }
    /// All that is flushed, as files: the segments stay readable whatever becomes of their names.
    var flushedFiles: (manifest: [UInt8], segments: [Segment]) { (segments.manifestBytes, segments.segments) }
    var bufferedFaces: Int { buffer.count }
    var needsFlush: Bool { buffer.count >= Limits.bufferFacesFlush }
    /// A whole batch still fits.
    var hasRoom: Bool { buffer.count + Limits.batchFacesMax <= Limits.bufferFacesMax }

    /// Bytes that `faces` more would take in memory behind `others` that are coming before them.
    func growth(adding faces: Int, after others: Int) -> Int {
        buffer.residentBytes(holding: buffer.count + others + faces)
            - buffer.residentBytes(holding: buffer.count + others)
    }

    /// Brings `state.sqlite` to the manifest's segments, where a crash came between the two, and marks as dead every
    /// row of a segment that no live face points to.
    func reconcile(with state: ShardState) throws(ReplicaError) {
        if try state.placedSegments() != segmentNumbers {
            // Nothing else tells which faces stand in one that cannot be opened.
            if let fault = segments.lost.values.first { throw .segments(fault) }
            try state.forgetPlaces()
            for segment in segments.segments {
                try state.place(segment.ids, inSegment: segment.number, of: segmentNumbers)
            }
        }
        var live: [UInt64: RowBitmap] = [:]
        var stray: RowPlace?
        let counts = Dictionary(uniqueKeysWithValues: segments.manifest.segments.map { ($0.number, $0.rows) })
        try state.forEachPlace { place in
            guard let count = counts[place.segment], place.row < count else { return stray = place }
            live[place.segment, default: RowBitmap()].insert(Int(place.row))
        }
        if let stray {
            throw .inconsistent(
                reason: "state.sqlite places a face in segment \(stray.segment), row \(stray.row), which is not there")
        }
        for segment in segments.segments {
            let alive = live[segment.number] ?? RowBitmap()
            var dead = RowBitmap()
            for row in 0..<segment.count where !alive.contains(row) { dead.insert(row) }
            snapshot.add(segment, dead: dead)
        }
        facesOfLost = segments.lost.keys.reduce(0) { $0 + (live[$1]?.count ?? 0) }
    }

    /// Whether a face that stands in no segment is here.
    func isBuffered(_ id: FaceID) -> Bool { bufferRows[id] != nil }

    /// The last check of recovery: what is searched is what lives.
    func requireEveryFace(of state: ShardState) throws(ReplicaError) {
        let count = try state.count()
        let held = snapshot.liveCount + facesOfLost
        guard held == count else {
            throw .inconsistent(
                reason: "state.sqlite knows \(count) live faces, segments and buffer hold \(held)")
        }
    }

    /// No row may stand under a bucket that the tree never had: nobody could say where it belongs.
    func requireBuckets(of tree: BucketTree) throws(ReplicaError) {
        guard let stray = snapshot.leafRows.keys.first(where: { !tree.contains($0) }) else { return }
        throw .inconsistent(reason: "faces stand under bucket \(stray.value), which the shard's tree does not know")
    }

    func buffer(_ row: SegmentRow) throws(ReplicaError) {
        do throws(SegmentError) {
            bufferRows[row.id] = try buffer.append(row)
        } catch {
            throw .segments(error)
        }
        snapshot.show(buffer.view)
    }

    /// `place` is what `state.sqlite` said before the delete was applied; nil for a face of the buffer.
    func markDead(_ id: FaceID, at place: RowPlace?) {
        if let place, segments.lost[place.segment] != nil {
            deletedOfLost[place.segment, default: []].append(id)
        } else if let place {
            snapshot.markDead(at: RowLocator(source: .segment(place.segment), row: Int(place.row)))
        } else if let row = bufferRows.removeValue(forKey: id) {
            snapshot.markDead(at: RowLocator(source: .buffer(buffer.serial), row: row))
        }
    }

    /// Makes the buffer a segment, its rows under their present buckets; nil when it holds no live face. After an error
    /// nothing has changed.
    func flush(through index: LogIndex, tree: BucketTree) throws(ReplicaError) -> Segment? {
        let rows = snapshot.liveRows(buffer: buffer.serial).map { row in
            var row = row
            row.leaf = tree.leaf(of: row.vector, below: row.leaf)
            return row
        }
        let segment: Segment?
        do throws(SegmentError) {
            segment = try segments.flush(rows, through: index)
        } catch {
            throw .segments(error)
        }
        let next = Buffer(serial: buffer.serial + 1, dimension: buffer.dimension)
        snapshot.replace(buffer: buffer.serial, with: segment)
        snapshot.show(next.view)
        buffer = next
        bufferRows = [:]
        return segment
    }

    /// A merge that is due, ready to run on any thread; one at a time.
    func beginMerge(tree: BucketTree) -> CompactionJob? {
        let split = tree.splitBuckets
        return CompactionPlanner.plan(snapshot.weights(split: split)).map { inputs in
            segments.beginCompaction(
                inputs, split: split, rehome: { tree.leaf(of: $1, below: $0) }, dead: { snapshot.dead(segment: $0) })
        }
    }

    /// Shows the merged segment instead of its inputs. After an error nothing has changed but names to remove.
    func install(_ merged: MergedSegment) throws(ReplicaError) {
        do throws(SegmentError) {
            try segments.install(merged)
            snapshot.replace(segments: merged.inputs, with: merged.segment)
            try segments.removeObsoleteFiles()
        } catch {
            throw .segments(error)
        }
    }

    func abandon(_ job: CompactionJob) { segments.abandon(job) }

    // MARK: Repairs

    func names(_ segment: UInt64) -> Bool { segments.names(segment) }

    /// Ready to run on any thread; one at a time, and no merge meanwhile.
    func beginRepair(of segment: UInt64, for fault: SegmentError) -> RepairJob {
        deletedOfLost[segment] = nil
        return segments.beginRepair(of: segment, for: fault)
    }

    /// Shows the repaired segment in the rotten one's place. After an error nothing has changed but names to remove.
    func installRepaired(_ merged: MergedSegment, for rotten: UInt64) throws(ReplicaError) {
        let wasLost = segments.lost[rotten] != nil
        do throws(SegmentError) {
            try segments.install(merged)
            if !wasLost {
                snapshot.replace(segments: [rotten], with: merged.segment)
            } else if let segment = merged.segment {
                snapshot.add(segment, dead: segment.rows(of: deletedOfLost.removeValue(forKey: rotten) ?? []))
            }
            try segments.removeObsoleteFiles()
        } catch {
            throw .segments(error)
        }
    }

    /// With what it wrote. Not for one whose segment was given to `installRepaired`, whatever came of that.
    func remove(_ job: RepairJob) throws(ReplicaError) {
        segments.abandon(job)
        do throws(SegmentError) { try segments.removeObsoleteFiles() } catch { throw .segments(error) }
    }
}

extension SegmentIdentity {
    init(_ descriptor: ShardDescriptor) {
        self.init(
            tenant: descriptor.tenant, collection: descriptor.collection, shard: descriptor.shard,
            dimension: descriptor.dimension)
    }
}

extension SearchSnapshot {
    /// Where the rows stand in this snapshot, in their order; nil when one was moved or deleted since it was read.
    func locators(of rows: [StateRow]) -> [RowLocator]? {
        let buffered = bufferLocators(of: Set(rows.filter { $0.place == nil }.map(\.id)))
        let numbers = Set(segments.map(\.segment.number))
        var locators: [RowLocator] = []
        for row in rows {
            if let place = row.place {
                guard numbers.contains(place.segment) else { return nil }
                locators.append(RowLocator(source: .segment(place.segment), row: Int(place.row)))
            } else {
                guard let locator = buffered[row.id] else { return nil }
                locators.append(locator)
            }
        }
        return locators
    }
}
