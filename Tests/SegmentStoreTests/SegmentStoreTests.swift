import FaceModel
import StorageIO
import Testing
import VectorSearch

@testable import SegmentStore

private let manifestPath = "/data/segments/MANIFEST"

private func open(_ disk: ForgetfulDisk) throws -> SegmentStore {
    try SegmentStore.open(directory: "/data/segments", identity: identity(), on: disk)
}

@Test private func aFlippedBitOrACutOfTheManifestIsRefused() throws {
    var generator = Seeded(1)
    let disk = ForgetfulDisk()
    let store = try open(disk)
    for round in 1...3 { _ = try store.flush(generator.rows(4), through: LogIndex(UInt64(round))) }
    let whole = try #require(disk.contents(manifestPath))
    for position in whole.indices {
        for bit in 0..<8 {
            var bytes = whole
            bytes[position] ^= 1 << UInt8(bit)
            disk.place(bytes, at: manifestPath)
            #expect(throws: SegmentError.self, "bit \(bit) of byte \(position)") { try open(disk) }
        }
        disk.place(Array(whole.prefix(position)), at: manifestPath)
        #expect(throws: SegmentError.self, "\(position) bytes") { try open(disk) }
    }
    disk.place(whole, at: manifestPath)
    #expect(try open(disk).manifest == store.manifest)
    #expect(disk.contents("/data/segments/segment-0000000000000001.seg") != nil, "nothing was removed meanwhile")
}

@Test private func aManifestFromTheFutureOrOfAnotherShardIsRefused() throws {
    let disk = ForgetfulDisk()
    _ = try open(disk)
    var bytes = try #require(disk.contents(manifestPath))
    bytes[8] = 9
    disk.place(sealed(bytes.dropLast(4)), at: manifestPath)
    #expect(throws: SegmentError.newerFormat(path: manifestPath, found: 9, supported: 1)) { try open(disk) }
    bytes[8] = 1
    disk.place(sealed(bytes.dropLast(4)), at: manifestPath)
    #expect(throws: SegmentError.wrongIdentity(path: manifestPath, field: "shard")) {
        try SegmentStore.open(directory: "/data/segments", identity: identity(shard: 8), on: disk)
    }
}

@Test private func segmentsWithoutAManifestAreLeftAlone() throws {
    var generator = Seeded(2)
    let disk = ForgetfulDisk()
    _ = try open(disk).flush(generator.rows(2), through: LogIndex(2))
    disk.remove(quietly: manifestPath)
    #expect(throws: SegmentError.manifestMissing(directory: "/data/segments")) { try open(disk) }
    #expect(disk.contents("/data/segments/segment-0000000000000001.seg") != nil)
}

@Test private func filesTheManifestDoesNotNameAreRemoved() throws {
    var generator = Seeded(3)
    let disk = ForgetfulDisk()
    _ = try open(disk).flush(generator.rows(2), through: LogIndex(2))
    disk.place([1], at: "/data/segments/segment-0000000000000009.seg")
    disk.place([1], at: "/data/segments/segment-000000000000000a.seg.tmp")
    disk.place([1], at: "/data/segments/notes.txt")
    _ = try open(disk)
    #expect(try disk.list("/data/segments") == ["MANIFEST", "notes.txt", "segment-0000000000000001.seg"])
}

@Test private func anEmptyFlushMovesTheLogPositionAlone() throws {
    let disk = ForgetfulDisk()
    #expect(try open(disk).flush([], through: LogIndex(40)) == nil)
    let store = try open(disk)
    #expect(store.flushedThrough == LogIndex(40) && store.segments.isEmpty)
}

/// Random enrols, deletes, flushes and merges; after each the search equals a reference over a dictionary.
@Test(arguments: 1...6, [64, 136, 512])
private func searchStaysExactThroughFlushesDeletesAndMerges(_ seed: UInt64, _ dimension: Int) throws {
    var generator = Seeded(seed)
    let disk = ForgetfulDisk()
    var replica = try Replica(disk, identity: identity(dimension: dimension))
    var live: [FaceID: SegmentRow] = [:]
    var lsn: UInt64 = 0
    for _ in 0..<40 {
        lsn += 1
        switch generator.next() % 8 {
        case 0...3:
            let rows = generator.rows(Int.random(in: 1...260, using: &generator), dimension: dimension, leaves: 3)
            try replica.enrol(rows)
            for row in rows { live[row.id] = row }
        case 4, 5:
            for face in live.keys.sorted() where generator.next() % 4 == 0 {
                replica.delete(face)
                live[face] = nil
            }
        case 6: try replica.flush(through: lsn)
        default: _ = try replica.compact()
        }
        let query = live.values.map(\.vector).min { $0.values[0] < $1.values[0] } ?? generator.vector(dimension)
        let prepared = PreparedQuery(query)
        let expected = live.values.map { Match(face: $0.id, score: exactScore(prepared, $0.vector)) }
            .sorted(by: Match.precedes).prefix(30)
        let found = try replica.search(query, limit: 30)
        #expect(found.matches.map(\.match) == Array(expected))
        #expect(found.scored == live.count && replica.snapshot.liveCount == live.count)
        for candidate in found.matches {
            #expect(replica.snapshot.id(at: candidate.locator) == candidate.match.face)
            #expect(try replica.snapshot.record(at: candidate.locator) == live[candidate.match.face]?.record)
            #expect(try replica.snapshot.vector(at: candidate.locator) == live[candidate.match.face]?.vector)
        }
    }
}

/// Searches of some leaves alone, rows of any of them in segments and in the buffer.
@Test(arguments: [64, 512]) private func aSearchOfSomeLeavesSeesTheirRowsAlone(_ dimension: Int) throws {
    var generator = Seeded(90)
    var replica = try Replica(ForgetfulDisk(), identity: identity(dimension: dimension))
    var live: [FaceID: SegmentRow] = [:]
    for round in 1...4 {
        let rows = generator.rows(Int.random(in: 1...900, using: &generator), dimension: dimension, leaves: 9)
        try replica.enrol(rows)
        for row in rows { live[row.id] = row }
        for face in live.keys.sorted() where generator.next() % 10 == 0 {
            replica.delete(face)
            live[face] = nil
        }
        if round < 4 { try replica.flush(through: UInt64(round)) }
        for leaves in [Set<UInt32>(), [0], [3, 4], [1, 7, 8], [2, 99], Set(0..<9)].map({ Set($0.map(LeafID.init)) }) {
            let query = generator.vector(dimension)
            let prepared = PreparedQuery(query)
            let inside = live.values.filter { leaves.contains($0.leaf) }
            let expected = inside.map { Match(face: $0.id, score: exactScore(prepared, $0.vector)) }
                .sorted(by: Match.precedes).prefix(30)
            for rowsPerPart in [1, 64, 333, 10_000] {
                let found = try replica.search(query, limit: 30, rowsPerPart: rowsPerPart, buckets: leaves)
                #expect(found.matches.map(\.match) == Array(expected))
                #expect(found.scored == inside.count)
                let parts = replica.snapshot.parts(rowsPerPart: rowsPerPart, buckets: leaves)
                #expect(parts.allSatisfy { (1...rowsPerPart).contains($0.rows) })
            }
        }
    }
}

@Test private func aMergePutsRowsUnderTheLeavesTheyBelongTo() throws {
    var generator = Seeded(91)
    let disk = ForgetfulDisk()
    var replica = try Replica(disk)
    var rows: [SegmentRow] = []
    for round in 1...3 {
        let more = generator.rows(300, leaves: 4)
        rows += more
        try replica.enrol(more)
        try replica.flush(through: UInt64(round))
    }
    let split: Set<LeafID> = [LeafID(1), LeafID(2)]
    #expect(replica.snapshot.weights(split: split).allSatisfy { (100...200).contains($0.strayed) })
    #expect(replica.snapshot.weights().allSatisfy { $0.strayed == 0 })
    let job = replica.store.beginCompaction(
        [1, 2, 3], split: split,
        rehome: { leaf, vector in
            precondition(split.contains(leaf), "asked for a leaf that was not split")
            return LeafID(leaf.value * 2 + (vector.values[0] < 0 ? 300 : 301))
        }, dead: { replica.snapshot.dead(segment: $0) })
    try replica.install(try job.merge())
    for index in rows.indices where split.contains(rows[index].leaf) {
        rows[index].leaf = LeafID(rows[index].leaf.value * 2 + (rows[index].vector.values[0] < 0 ? 300 : 301))
    }
    #expect(try contents(replica.snapshot) == byID(rows))
    #expect(try contents(opened(disk)) == byID(rows))
    #expect(replica.snapshot.segments[0].segment.leaves.map(\.leaf.value) == [0, 3, 302, 303, 304, 305])
    #expect(replica.snapshot.weights(split: split)[0].strayed == 0)
}

@Test private func facesDeletedWhileAMergeRunsStayDeleted() throws {
    var generator = Seeded(4)
    let disk = ForgetfulDisk()
    var replica = try Replica(disk)
    var rows: [SegmentRow] = []
    for round in 1...4 {
        let more = generator.rows(50)
        rows += more
        try replica.enrol(more)
        try replica.flush(through: UInt64(round))
    }
    replica.delete(rows[3].id)
    let inputs = try #require(CompactionPlanner.plan(replica.snapshot.weights()))
    #expect(inputs.count == 4)
    let job = replica.store.beginCompaction(inputs, dead: { replica.snapshot.dead(segment: $0) })
    let before = replica.snapshot
    let merged = try job.merge()
    for at in [0, 60, 120, 199] { replica.delete(rows[at].id) }
    try replica.install(merged)
    let gone = Set([3, 0, 60, 120, 199].map { rows[$0].id })
    #expect(try contents(replica.snapshot) == byID(rows.filter { !gone.contains($0.id) }))
    #expect(try disk.list("/data/segments").count == 2, "the inputs' files are gone")
    // A snapshot from before goes on without its files.
    #expect(try contents(before) == byID(rows.filter { $0.id != rows[3].id }))
}

@Test private func aSegmentWhoseRowsAllDiedGoesWithoutASuccessor() throws {
    var generator = Seeded(5)
    let disk = ForgetfulDisk()
    var replica = try Replica(disk)
    let rows = generator.rows(20)
    try replica.enrol(rows)
    try replica.flush(through: 1)
    for row in rows { replica.delete(row.id) }
    #expect(try replica.compact())
    #expect(replica.snapshot.segments.isEmpty && replica.snapshot.liveCount == 0)
    #expect(try disk.list("/data/segments") == ["MANIFEST"])
    #expect(try open(disk).flushedThrough == LogIndex(1))
}

/// Stops the disk at each operation of `change` in turn; what is opened after the crash is the old or the new state.
private func crashEverywhere(
    _ prepare: (inout Replica, inout Seeded) throws -> Void, _ change: (inout Replica) throws -> Void
) throws {
    for keepingNames in [false, true] {
        var stop = 0
        var finished = false
        while !finished {
            var generator = Seeded(77)
            let disk = ForgetfulDisk()
            var replica = try Replica(disk)
            try prepare(&replica, &generator)
            let old = (try contents(opened(disk)), replica.store.manifest)
            var twin = try Replica(ForgetfulDisk())
            var again = Seeded(77)
            try prepare(&twin, &again)
            try change(&twin)
            let new = (try contents(twin.snapshot), twin.store.manifest)
            disk.stop(at: stop)
            do {
                try change(&replica)
                finished = true
            } catch is SegmentError {}
            disk.crash(keepingNames: keepingNames)
            let store = try open(disk)
            let now = (try contents(opened(disk)), store.manifest)
            #expect(now == new || (!finished && now == old), "stopped at operation \(stop)")
            #expect(try disk.list("/data/segments").count == store.segments.count + 1, "strays after \(stop)")
            stop += 1
        }
        #expect(stop > 5, "the change has operations to stop at")
    }
}

private func opened(_ disk: ForgetfulDisk) throws -> SearchSnapshot {
    var snapshot = SearchSnapshot(dimension: 64)
    for segment in try open(disk).segments { snapshot.add(segment) }
    return snapshot
}

@Test private func aCrashDuringAFlushLeavesTheOldOrTheNewState() throws {
    try crashEverywhere(
        { replica, generator in
            try replica.enrol(generator.rows(30, leaves: 2))
            try replica.flush(through: 10)
            try replica.enrol(generator.rows(30, leaves: 2))
        },
        { try $0.flush(through: 20) })
}

@Test private func aCrashDuringAMergeLosesNothing() throws {
    try crashEverywhere(
        { replica, generator in
            for round in 1...4 {
                try replica.enrol(generator.rows(12, leaves: 2))
                try replica.flush(through: UInt64(round))
            }
        },
        { _ = try $0.compact() })
}

/// A full disk refuses, changes nothing, leaves nothing, and the same flush succeeds when there is space.
@Test private func aFullDiskIsSurvived() throws {
    var step = 0
    while true {
        var generator = Seeded(78)
        let disk = ForgetfulDisk()
        var replica = try Replica(disk)
        try replica.enrol(generator.rows(10))
        try replica.flush(through: 1)
        let more = generator.rows(20)
        try replica.enrol(more)
        disk.fill(at: step)
        do {
            try replica.flush(through: 2)
            break
        } catch {
            #expect(replica.store.flushedThrough == LogIndex(1))
        }
        try replica.flush(through: 2)
        #expect(try contents(replica.snapshot).count == 30)
        #expect(try contents(opened(disk)) == contents(replica.snapshot))
        #expect(try disk.list("/data/segments").count == 3, "step \(step)")
        step += 1
    }
    #expect(step > 5)
}
