import ClusterModel
import FaceModel
import Foundation

extension WireEnrolAnswer {
    init(_ outcome: EnrolOutcome) {
        self.init()
        faces = FieldBytes.ids(outcome.faces)
        lsn = outcome.at.lsn.value
        generation = outcome.at.generation.value
    }

    /// `count` faces were enrolled.
    func domain(count: Int) throws(BodyError) -> EnrolOutcome {
        let ids = try Fields.ids(faces, "faces", max: count, FaceID.self)
        guard ids.count == count else { throw BodyError("faces", "\(ids.count) ids of \(count) faces") }
        return EnrolOutcome(faces: ids, at: ShardPosition(Generation(generation), LogIndex(lsn)))
    }
}

extension WireDeleteAnswer {
    init(_ outcome: DeleteOutcome) {
        self.init()
        deleted = FieldBytes.ids(outcome.deleted)
        notFound = FieldBytes.ids(outcome.notFound)
        lsn = outcome.at.lsn.value
        generation = outcome.at.generation.value
    }

    /// `count` faces were to be deleted.
    func domain(count: Int) throws(BodyError) -> DeleteOutcome {
        DeleteOutcome(
            deleted: try Fields.ids(deleted, "deleted", max: count),
            notFound: try Fields.ids(notFound, "not_found", max: count),
            at: ShardPosition(Generation(generation), LogIndex(lsn)))
    }
}

extension WireFacesAnswer {
    init(_ page: FacePage) {
        self.init()
        faces = WireFaces(page.faces)
        at = WirePosition(page.at)
    }

    /// `count` faces were asked for.
    func domain(count: Int) throws(BodyError) -> FacePage {
        let stored = try faces.stored("faces", max: count)
        try FaceOrder.check(stored)
        return FacePage(faces: stored, more: false, at: try at.domain("at"))
    }
}

extension WireVectorAnswer {
    init(_ vector: RotatedVector?) {
        self.init()
        self.vector = vector.map { FieldBytes.floats($0.values) } ?? Data()
    }

    func domain() throws(BodyError) -> RotatedVector? { vector.isEmpty ? nil : try Fields.vector(vector, "vector") }
}

extension WireListAnswer {
    init(_ page: FacePage) {
        self.init()
        faces = WireFaces(page.faces)
        more = page.more
        at = WirePosition(page.at)
    }

    /// At most `limit` faces after `after` were asked for.
    func domain(after: FaceID?, limit: Int) throws(BodyError) -> FacePage {
        let stored = try faces.stored("faces", max: limit)
        try FaceOrder.check(stored)
        if let after, let first = stored.first, first.id <= after {
            throw BodyError("faces.ids", "the page begins before what was asked")
        }
        return FacePage(faces: stored, more: more, at: try at.domain("at"))
    }
}

extension WireStatisticsAnswer {
    init(_ statistics: ShardStatistics) {
        self.init()
        faces = UInt64(statistics.faces)
        segments = UInt64(statistics.segments)
        bufferedFaces = UInt64(statistics.bufferedFaces)
        residentBytes = UInt64(statistics.residentBytes)
        diskBytes = UInt64(statistics.diskBytes)
        lsn = statistics.lsn.value
        if let reason = statistics.writesRefused { writesRefused = FieldBytes.text(reason) }
    }

    func domain() throws(BodyError) -> ShardStatistics {
        ShardStatistics(
            faces: try Fields.count(faces, "faces"), segments: try Fields.count(segments, "segments"),
            bufferedFaces: try Fields.count(bufferedFaces, "buffered_faces"),
            residentBytes: try Fields.count(residentBytes, "resident_bytes"),
            diskBytes: try Fields.count(diskBytes, "disk_bytes"), lsn: LogIndex(lsn),
            writesRefused: hasWritesRefused ? try Fields.text(writesRefused, "writes_refused") : nil)
    }
}

extension WireNodeStatisticsAnswer {
    init(_ statistics: NodeStatistics) {
        self.init()
        version = FieldBytes.text(statistics.version)
        uptimeSeconds = UInt64(statistics.uptimeSeconds)
        shards = UInt64(statistics.shards)
        damagedShards = UInt64(statistics.damagedShards)
        faces = UInt64(statistics.faces)
        residentBytes = UInt64(statistics.residentBytes)
        capacityBytes = UInt64(statistics.capacityBytes)
        diskFreeBytes = UInt64(statistics.diskFreeBytes)
        diskTotalBytes = UInt64(statistics.diskTotalBytes)
    }

    func domain() throws(BodyError) -> NodeStatistics {
        NodeStatistics(
            version: try Fields.text(version, "version"),
            uptimeSeconds: try Fields.count(uptimeSeconds, "uptime_seconds"),
            shards: try Fields.count(shards, "shards"),
            damagedShards: try Fields.count(damagedShards, "damaged_shards"),
            faces: try Fields.count(faces, "faces"),
            residentBytes: try Fields.count(residentBytes, "resident_bytes"),
            capacityBytes: try Fields.count(capacityBytes, "capacity_bytes"),
            diskFreeBytes: try Fields.count(diskFreeBytes, "disk_free_bytes"),
            diskTotalBytes: try Fields.count(diskTotalBytes, "disk_total_bytes"))
    }
}

enum FaceOrder {
    /// Throws unless the ids rise.
    static func check(_ faces: [StoredFace]) throws(BodyError) {
        for index in faces.indices.dropFirst() where faces[index].id <= faces[index - 1].id {
            throw BodyError("faces.ids", "face \(index) is out of order")
        }
    }
}
