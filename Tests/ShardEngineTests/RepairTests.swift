import ClusterModel
import FaceModel
import Foundation
import GRDB
import Replication
import SegmentStore
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// Files of one copy that rot, of a shard that has others: nobody is answered from them, nothing stops, and they are made
/// whole again from the other copies.
@Suite struct RepairTests {
    private static let faces = CopiesBench.faces(0..<5_000)

    /// A bench of three copies with a segment each, and the ids of its faces.
    private func filled(recordsKept: UInt64 = 262_144) async throws -> (bench: CopiesBench, ids: [FaceID]) {
        let bench = try CopiesBench(recordsKept: recordsKept)
        for number in 0..<3 { try await bench.open(number, .making) }
        var ids: [FaceID] = []
        for start in stride(from: 0, to: Self.faces.count, by: 1_000) {
            let faces = Array(Self.faces[start..<start + 1_000])
            ids += try await bench.ask { (node) throws(ShardError) in
                try await node.enrol(faces, bench.call(.seconds(20))).faces
            }
        }
        for number in 0..<3 { #expect(try await bench.eventually { await bench.segments(number) == 1 }) }
        // A merge that is due has begun by then.
        try await Task.sleep(for: .seconds(1))
        for number in 0..<3 { #expect(try await bench.eventually { await bench.segment(number) != nil }) }
        return (bench, ids)
    }

    private func primary(_ bench: CopiesBench) -> Int { Int(bench.registers.state.configuration.primary.bits.low) }

    /// That very copy answers rightly, once it answers; it has applied what stands at `since`.
    private func requireSound(
        _ bench: CopiesBench, _ number: Int, _ ids: [FaceID], gone: Int = 0, since: ShardPosition = .zero
    ) async throws {
        for place in stride(from: gone, to: ids.count, by: 61) {
            let search = ShardSearch(query: Self.faces[place].vector, limit: 1, minScore: 0.999, sigmas: .infinity)
            var answer: ShardSearchAnswer?
            // Beside other tests it may be away for a while, and then has to catch up before it counts.
            #expect(
                try await bench.eventually {
                    answer = await bench.found(search, at: number, since: since)
                    return answer != nil
                })
            #expect(answer?.candidates.map(\.face.id) == [ids[place]])
            #expect(answer?.candidates.first?.face.externalImageID == Self.faces[place].externalImageID)
            #expect(answer?.facesScored == ids.count - gone)
        }
    }

    @Test(arguments: [false, true]) func whatASearchMetIsFetchedFromTheOthers(_ whole: Bool) async throws {
        let (bench, ids) = try await filled()
        let rotten = primary(bench)
        let segment = try #require(await bench.segment(rotten))
        try bench.rot(segment, places: whole ? nil : [CopiesBench.vectorByte])
        let search = ShardSearch(query: Self.faces[7].vector, limit: 4_096, minScore: -1, sigmas: .infinity)
        let node = try #require(bench.post.node(CopiesBench.node(rotten)))
        await #expect(throws: ShardError.self) { try await node.search([search], bench.call(.seconds(20))) }
        // Clients are served meanwhile, by another copy.
        let answers = try await bench.asking { (node) throws(ShardError) in
            try await node.search([search], bench.call(.seconds(20)))
        }
        #expect(answers[0].candidates.count == 4_096)
        let gone = try await bench.asking { (node) throws(ShardError) in
            try await node.delete(Array(ids[..<3]), token: .none, bench.call(.seconds(20)))
        }
        #expect(gone.deleted.count == 3)
        try await requireSound(bench, rotten, ids, gone: 3, since: gone.at)
        #expect(bench.registers.state.configuration.named.count == 3, "nobody made another copy")
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        #expect(await bench.segment(rotten) != segment)
        let fetched = bench.post.rowsGiven
        if whole { #expect(fetched >= 4_000) } else { #expect((1...16).contains(fetched), "\(fetched) faces") }
        // What is on the disk is whole: the next start finds nothing.
        await bench.kill(rotten)
        bench.start(rotten)
        try await bench.open(rotten, .existing)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        try await requireSound(bench, rotten, ids, gone: 3, since: gone.at)
        await bench.stop()
    }

    /// A segment that cannot be opened at all, or is not there.
    @Test(arguments: [false, true]) func whatAStartMetIsFetchedFromTheOthers(_ isGone: Bool) async throws {
        let (bench, ids) = try await filled()
        let rotten = (primary(bench) + 1) % 3
        let segment = try #require(await bench.segment(rotten))
        await bench.kill(rotten)
        if isGone { try FileManager.default.removeItem(atPath: segment) } else { try bench.rot(segment, places: nil) }
        bench.start(rotten)
        try? await bench.open(rotten, .existing)
        let gone = try await bench.asking { (node) throws(ShardError) in
            try await node.delete(Array(ids[..<3]), token: .none, bench.call(.seconds(20)))
        }
        #expect(gone.deleted.count == 3)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        try await requireSound(bench, rotten, ids, gone: 3, since: gone.at)
        await bench.stop()
    }

    @Test func theScrubFindsWhatNobodyReads() async throws {
        let (bench, ids) = try await filled()
        let rotten = (primary(bench) + 1) % 3
        let segment = try #require(await bench.segment(rotten))
        #expect(await bench.scrub(rotten))
        #expect(await bench.segment(rotten) == segment, "what is whole is left alone")
        try bench.rot(segment, places: [CopiesBench.vectorByte])
        #expect(await !bench.scrub(rotten))
        #expect(try await bench.eventually { await bench.segment(rotten) != segment })
        try await requireSound(bench, rotten, ids)
        #expect(await bench.scrub(rotten))
        await bench.stop()
    }

    @Test func aRottenLogIsBegunAnew() async throws {
        let (bench, ids) = try await filled()
        let rotten = (primary(bench) + 1) % 3
        let logs = "\(bench.folder(rotten))/wal"
        let first = try #require(try FileManager.default.contentsOfDirectory(atPath: logs).sorted().first)
        try bench.rot("\(logs)/\(first)", places: [9_000])
        #expect(await !bench.scrub(rotten))
        let isNew = try await bench.eventually {
            (try? FileManager.default.contentsOfDirectory(atPath: logs).contains(first)) == false
        }
        #expect(isNew)
        await bench.kill(rotten)
        bench.start(rotten)
        try await bench.open(rotten, .existing)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        try await requireSound(bench, rotten, ids)
        await bench.stop()
    }

    @Test func aStateThatIsNotWhatWasAppliedEndsTheCopy() async throws {
        let (bench, _) = try await filled()
        let rotten = (primary(bench) + 1) % 3
        await bench.kill(rotten)
        let state = try DatabaseQueue(path: "\(bench.folder(rotten))/state.sqlite")
        try await state.write { try $0.execute(sql: "UPDATE face SET leaf = 77 WHERE id = (SELECT min(id) FROM face)") }
        try state.close()
        bench.start(rotten)
        try await bench.open(rotten, .existing)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        #expect(await !bench.scrub(rotten))
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 2 })
        let search = ShardSearch(query: Self.faces[0].vector, limit: 1, minScore: 0.999, sigmas: .infinity)
        #expect(await bench.found(search, at: rotten) == nil)
        await bench.stop()
    }

    /// Attempts in vain leave nothing on the disk, and the first that gets all ends the matter.
    @Test func aRepairThatLacksFacesIsTriedAgain() async throws {
        let (bench, ids) = try await filled()
        let rotten = (primary(bench) + 1) % 3
        let segment = try #require(await bench.segment(rotten))
        bench.post.giveRows(false)
        try bench.rot(segment, places: [CopiesBench.vectorByte])
        #expect(await !bench.scrub(rotten))
        try await Task.sleep(for: .seconds(2))
        let names = try FileManager.default.contentsOfDirectory(atPath: bench.folder(rotten) + "/segments")
        #expect(names.sorted() == ["MANIFEST", segment.split(separator: "/").last.map(String.init) ?? ""])
        bench.post.giveRows(true)
        #expect(try await bench.eventually { await bench.segment(rotten).map { $0 != segment } ?? false })
        try await requireSound(bench, rotten, ids)
        await bench.stop()
    }

    /// The merge had read what it needed; there is nothing left to repair.
    @Test func rotThatIsFoundDuringAMergeEndsWithIt() async throws {
        let (bench, ids) = try await filled()
        let copy = try #require(bench.post.node(CopiesBench.node(primary(bench)))?.shelf.copy(bench.shard))
        let segment = try #require(await bench.segment(primary(bench)))
        let number = try #require(copy.published.current.snapshot.segments.first?.segment.number)
        let fault = SegmentError.damaged(path: segment, offset: 0, block: nil, reason: "a test says so")
        let gone = Array(ids[..<4_000])
        // Most rows are dead: a merge begins behind the answer.
        async let deleted = bench.asking { (node) throws(ShardError) in
            try await node.delete(gone, token: .none, bench.call(.seconds(20)))
        }
        let folder = bench.folder(primary(bench)) + "/segments"
        await bench.blocking {
            // MANIFEST, the segment, and what the merge writes; on a busy machine it may be over by then.
            var names: [String] = []
            repeat {
                names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            } while names.count < 3 && FileManager.default.fileExists(atPath: segment)
            _ = copy.inbox.add(.errand(.rotten(number, fault)))
        }
        #expect(try await bench.eventually { await bench.segment(primary(bench)).map { $0 != segment } ?? false })
        #expect(try await bench.eventually { !copy.isDamaged })
        #expect(bench.post.rowsGiven == 0, "a repair was begun")
        try await requireSound(bench, primary(bench), ids, gone: 4_000, since: try await deleted.at)
        await bench.stop()
    }

    /// Nothing but the very faces is taken for what is missing, whoever gives it.
    @Test func whatAnotherCopyGivesIsHeldToTheFacesIDs() async throws {
        let (bench, ids) = try await filled()
        let other = try #require(bench.post.node(CopiesBench.node(primary(bench))))
        let puts = try #require(await other.rows(of: Array(ids[..<4]), bench.shard)).map {
            try PutRecord(payload: $0, token: .none, at: .zero)
        }
        #expect(Set(puts.map(\.id)) == Set(ids[..<4]))
        var turned = puts
        turned[1].vector = puts[0].vector
        turned[2].externalImageID = nil
        turned[3].count += 1
        let source = GivenRows(rows: turned.map(\.payload) + [[], [1], puts[0].payload + [0]])
        let keys = try #require(FaceIdentityKeys(bench.descriptor(0)))
        let fetch = RowFetch(
            of: bench.shard, dimension: CopiesBench.dimension, keys: keys, from: [.embedded], by: source)
        let wanted = puts.map(\.id)
        #expect(await bench.blocking { fetch.rows(of: wanted).keys.sorted() } == [wanted[0]])
        #expect(await bench.blocking { fetch.rows(of: Array(wanted[1...])).isEmpty }, "what nobody asked for")
        await bench.stop()
    }

    /// The source of a new copy, whose log does not reach back, finds its own rot first.
    @Test func rotIsNotCopied() async throws {
        let (bench, ids) = try await filled(recordsKept: 100)
        let source = primary(bench)
        let segment = try #require(await bench.segment(source))
        try bench.rot(segment, places: [CopiesBench.vectorByte])
        let other = (source + 1) % 3
        await bench.kill(other)
        try FileManager.default.removeItem(atPath: bench.folder(other))
        try await bench.name(CopiesBench.replica(other, copy: 1))
        bench.start(other)
        try await bench.open(other, .joining, copy: 1)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        #expect(try await bench.eventually { await bench.segment(source) != segment })
        for number in 0..<3 {
            try await requireSound(bench, number, ids)
            #expect(await bench.scrub(number))
        }
        await bench.stop()
    }
}

/// A copy that gives the same rows whatever it is asked for.
private struct GivenRows: CopySource {
    let rows: [[UInt8]]

    func rows(
        of faces: [FaceID], _ shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [[UInt8]]? { rows }

    func listing(
        of shard: ShardID, on node: NodeID, for receiver: ReplicaID, deadline: ContinuousClock.Instant
    ) async -> CopyListing? { nil }

    func read(
        _ chunk: CopyChunk, of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [UInt8]? { nil }

    func release(_ number: UInt64, of shard: ShardID, on node: NodeID) async {}
}

extension CopiesBench {
    /// The one segment of a node's copy; nil while it has none, or several.
    func segment(_ number: Int) async -> String? {
        let directory = folder(number) + "/segments"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let segments = names.filter { $0.hasSuffix(".seg") }
        return segments.count == 1 ? "\(directory)/\(segments[0])" : nil
    }

    /// How many segments a node's copy searches.
    func segments(_ number: Int) async -> Int? {
        try? await post.node(Self.node(number))?.statistics(call()).segments
    }

    /// A byte of a block of vectors: 4,096 of them stand behind as many ids.
    static let vectorByte = 100_000

    /// Turns bits of these bytes, or of every one.
    func rot(_ path: String, places: [Int]?) throws {
        let file = try POSIXFileSystem().open(path, .readWrite)
        defer { file.close() }
        let count = try file.size()
        guard let places else {
            return try file.write(all: try file.read(count: count, at: 0).map { $0 ^ 0x20 }, at: 0)
        }
        for place in places { try file.write(all: try file.read(count: 1, at: place).map { $0 ^ 0x20 }, at: place) }
    }

    /// What a node's copy itself answers once it has applied what stands at `since`; nil where it does not.
    func found(_ search: ShardSearch, at number: Int, since: ShardPosition = .zero) async -> ShardSearchAnswer? {
        var call = call(.seconds(20))
        call.level = .session(since)
        return try? await post.node(Self.node(number))?.search([search], call).first
    }

    /// Reads all files of a node's copy; whether they are sound.
    func scrub(_ number: Int) async -> Bool {
        guard let replica = post.node(Self.node(number))?.shelf.copy(shard) else { return false }
        return await blocking { ScrubPass(replica: replica, pace: ScrubPace(bytesPerSecond: 1 << 40)).run() }
    }

    /// On a thread of its own: tasks have few.
    func blocking<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread { continuation.resume(returning: body()) }.start()
        }
    }

    /// As `ask`, but a copy that says it is damaged is asked again too, as coordinators do: another may answer.
    func asking<Value>(_ body: (ShardNode) async throws(ShardError) -> Value) async throws -> Value {
        try await ask { (node) throws(ShardError) in
            do throws(ShardError) { return try await body(node) } catch .damaged(let shard, _) {
                throw .notPrimary(shard)
            }
        }
    }
}
