import FaceModel
import Foundation
import Replication

extension WireCopyRequest {
    init(_ shard: ShardID, for receiver: ReplicaID, _ call: WireCall) {
        self.init()
        self.call = call
        self.shard = FieldBytes.id(shard)
        self.receiver = FieldBytes.id(receiver)
    }

    func domain() throws(BodyError) -> ReplicaRequest {
        .copy(of: try Fields.id(shard, "shard"), for: try Fields.id(receiver, "receiver"))
    }
}

extension WireCopyAnswer {
    init(_ listing: CopyListing?) {
        self.init()
        if let listing { self.listing = WireCopyListing(listing) }
    }

    func domain() throws(BodyError) -> CopyListing? { hasListing ? try listing.domain() : nil }
}

extension WireCopyListing {
    private static let digestBytes = 32

    init(_ listing: CopyListing) {
        self.init()
        number = listing.number
        end = listing.end.index.value
        endEpoch = listing.end.epoch.value
        runFirsts = listing.runs.map(\.first.value)
        runEpochs = listing.runs.map(\.epoch.value)
        files = listing.files.map { file in
            .with {
                $0.name = file.name
                $0.bytes = UInt64(file.bytes)
                $0.digest = Data(file.digest)
            }
        }
    }

    func domain() throws(BodyError) -> CopyListing {
        let end = LogPoint(
            epoch: Epoch(try Fields.position(endEpoch, "listing.end_epoch")),
            index: LogIndex(try Fields.position(end, "listing.end")))
        guard files.count <= TransportLimits.copyFilesMax else {
            throw BodyError("listing.files", "\(files.count); \(TransportLimits.copyFilesMax) at most")
        }
        var read: [CopyListing.File] = []
        for file in files {
            let name = try Fields.text(file.name, "listing.files.name", max: TransportLimits.fileNameBytesMax)
            guard file.digest.count == Self.digestBytes else {
                throw BodyError("listing.files.digest", "\(file.digest.count) bytes; a digest has \(Self.digestBytes)")
            }
            read.append(
                CopyListing.File(
                    name: name, bytes: Int(try Fields.position(file.bytes, "listing.files.bytes")),
                    digest: Array(file.digest)))
        }
        return CopyListing(number: number, end: end, runs: try runs(through: end), files: read)
    }

    private func runs(through end: LogPoint) throws(BodyError) -> [LogOutline.Run] {
        guard runFirsts.count == runEpochs.count else {
            throw BodyError("listing.run_epochs", "\(runEpochs.count), for \(runFirsts.count) runs")
        }
        var runs: [LogOutline.Run] = []
        for (first, epoch) in zip(runFirsts, runEpochs) {
            let last = runs.last ?? LogOutline.Run(epoch: Epoch(0), first: .zero)
            guard first > last.first.value, epoch > last.epoch.value, first <= end.index.value,
                epoch <= end.epoch.value
            else { throw BodyError("listing.run_firsts", "run \(runs.count) is out of order") }
            runs.append(LogOutline.Run(epoch: Epoch(epoch), first: LogIndex(first)))
        }
        return runs
    }
}

extension WireChunkRequest {
    init(_ chunk: CopyChunk, of shard: ShardID, _ call: WireCall) {
        self.init()
        self.call = call
        self.shard = FieldBytes.id(shard)
        number = chunk.number
        file = chunk.file
        offset = UInt64(chunk.offset)
        bytes = UInt64(chunk.bytes)
    }

    /// Nobody asks for the listing any more.
    init(releasing number: UInt64, of shard: ShardID, _ call: WireCall) {
        self.init()
        self.call = call
        self.shard = FieldBytes.id(shard)
        self.number = number
    }

    func domain() throws(BodyError) -> ReplicaRequest {
        let shard: ShardID = try Fields.id(shard, "shard")
        guard bytes > 0 else { return .release(number, of: shard) }
        guard bytes <= UInt64(CopyListing.chunkBytes) else {
            throw BodyError("bytes", "\(bytes); \(CopyListing.chunkBytes) at most")
        }
        let chunk = CopyChunk(
            number: number, file: try Fields.text(file, "file", max: TransportLimits.fileNameBytesMax),
            offset: Int(try Fields.position(offset, "offset")), bytes: Int(bytes))
        return .chunk(chunk, of: shard)
    }
}

extension WireChunkAnswer {
    init(_ bytes: [UInt8]?) {
        self.init()
        if let bytes { self.bytes = Data(bytes) }
    }
}

extension WireRowsRequest {
    init(_ faces: [FaceID], of shard: ShardID, _ call: WireCall) {
        self.init()
        self.call = call
        self.shard = FieldBytes.id(shard)
        self.faces = faces.map { FieldBytes.id($0) }
    }

    func domain() throws(BodyError) -> ReplicaRequest {
        guard faces.count <= Limits.batchFacesMax else {
            throw BodyError("faces", "\(faces.count); \(Limits.batchFacesMax) at most")
        }
        var ids: [FaceID] = []
        for face in faces { ids.append(try Fields.id(face, "faces")) }
        return .rows(of: ids, try Fields.id(shard, "shard"))
    }
}

extension WireRowsAnswer {
    init(_ rows: [[UInt8]]?) {
        self.init()
        here = rows != nil
        self.rows = rows?.map { Data($0) } ?? []
    }

    func domain() throws(BodyError) -> [[UInt8]]? {
        guard rows.count <= Limits.batchFacesMax else {
            throw BodyError("rows", "\(rows.count); \(Limits.batchFacesMax) at most")
        }
        return here ? rows.map { Array($0) } : nil
    }
}
