import ClusterModel
import FaceModel
import Foundation
import Replication
import StorageIO
import Testing

@testable import ShardEngine

/// A copy that lost its disk, or lags behind what the others' logs hold, is built from another's files.
@Suite struct RebuiltCopyTests {
    /// What clients know of a shard.
    private struct Clients {
        var living: [FaceID: NewFace] = [:]
        var gone: Set<FaceID> = []
        private var enrolled = 0

        mutating func enrol(_ count: Int, _ bench: CopiesBench) async throws {
            for _ in 0..<count / 1_000 {
                let faces = CopiesBench.faces(enrolled..<enrolled + 1_000)
                enrolled += faces.count
                let outcome = try await bench.ask { (node) throws(ShardError) in
                    try await node.enrol(faces, bench.call(.seconds(20)))
                }
                for (id, face) in zip(outcome.faces, faces) { living[id] = face }
            }
        }

        mutating func delete(_ count: Int, _ bench: CopiesBench) async throws {
            let doomed = Array(living.keys.sorted().prefix(count))
            _ = try await bench.ask { (node) throws(ShardError) in
                try await node.delete(doomed, token: .none, bench.call(.seconds(20)))
            }
            for id in doomed {
                living[id] = nil
                gone.insert(id)
            }
        }

        /// Everything is listed, nothing deleted is, and some of it is found.
        func check(_ bench: CopiesBench) async throws {
            var listed: [FaceID] = []
            while true {
                let after = listed.last
                let page = try await bench.ask { (node) throws(ShardError) in
                    try await node.list(after: after, limit: 4_000, bench.call(.seconds(20)))
                }
                listed += page.faces.map(\.id)
                if !page.more { break }
            }
            #expect(Set(listed) == Set(living.keys) && listed.count == living.count)
            #expect(gone.isDisjoint(with: listed))
            for (id, face) in living.sorted(by: { $0.key < $1.key }).suffix(8) {
                let search = ShardSearch(query: face.vector, limit: 2, minScore: 0.999, sigmas: .infinity)
                let answers = try await bench.ask { (node) throws(ShardError) in
                    try await node.search([search], bench.call(.seconds(20)))
                }
                #expect(answers[0].candidates.map(\.face.id) == [id])
            }
        }
    }

    private func bench() async throws -> CopiesBench {
        let bench = try CopiesBench(recordsKept: 100)
        for number in 0..<3 { try await bench.open(number, .making) }
        return bench
    }

    private func primary(_ bench: CopiesBench) -> Int { Int(bench.registers.state.configuration.primary.bits.low) }

    /// Of those that do not decide the one that an election prefers where they hold the same.
    private func another(_ bench: CopiesBench) -> Int { primary(bench) == 2 ? 1 : 2 }

    private func hasWholeLog(_ bench: CopiesBench, _ number: Int) throws -> Bool {
        try FileManager.default.contentsOfDirectory(atPath: bench.folder(number) + "/wal")
            .contains("0000000000000001.log")
    }

    private func isWhole(_ bench: CopiesBench) async throws -> Bool {
        try await bench.eventually { bench.registers.state.configuration.isr.count == 3 }
    }

    /// Has the copy chosen as the primary: of copies that hold the same the greatest id is.
    private func enthrone(_ replica: ReplicaID, _ bench: CopiesBench) async throws {
        for _ in 0..<6 where bench.registers.state.configuration.primary != replica {
            let epoch = bench.registers.state.configuration.epoch
            let reigning = bench.registers.state.configuration.primary
            try await bench.ask { (node) throws(ShardError) in try await node.retire(reigning, bench.call()) }
            #expect(try await bench.eventually { bench.registers.state.configuration.epoch > epoch })
            #expect(try await isWhole(bench))
        }
        #expect(bench.registers.state.configuration.primary == replica)
    }

    @Test func aNewCopyTakesThePlaceOfOneWhoseDiskIsLost() async throws {
        let bench = try await bench()
        var clients = Clients()
        try await clients.enrol(6_000, bench)
        try await clients.delete(500, bench)
        let victim = another(bench)
        await bench.kill(victim)
        try FileManager.default.removeItem(atPath: "\(bench.root)/\(victim)")
        let new = CopiesBench.replica(victim, copy: 1)
        try await bench.name(new)
        try await clients.enrol(5_000, bench)
        try await clients.delete(1_500, bench)
        #expect(try !hasWholeLog(bench, primary(bench)))
        bench.start(victim)
        try await bench.open(victim, .joining, copy: 1)
        // Flushes, merges and deletes go on beside the copy.
        for _ in 0..<6 {
            try await clients.enrol(2_000, bench)
            try await clients.delete(700, bench)
        }
        #expect(try await isWhole(bench))
        #expect(bench.registers.state.configuration.isr.contains(new))
        #expect(try !hasWholeLog(bench, victim))
        #expect(!FileManager.default.fileExists(atPath: bench.folder(victim) + ".fetched"))
        try await enthrone(new, bench)
        try await clients.check(bench)
        try await clients.enrol(1_000, bench)
        try await clients.delete(100, bench)
        // It has its files and its log, and knows what it promised.
        await bench.kill(victim)
        bench.start(victim)
        try await bench.open(victim, .existing, copy: 1)
        #expect(try await isWhole(bench))
        try await clients.check(bench)
        await bench.stop()
    }

    /// A copy whose node was away: what it has is less than the others' logs begin with.
    @Test func aCopyThatLagsTooFarIsBuiltAnewUnderItsOwnName() async throws {
        let bench = try await bench()
        var clients = Clients()
        try await clients.enrol(2_000, bench)
        let victim = another(bench)
        let away = CopiesBench.replica(victim)
        await bench.kill(victim)
        try await clients.enrol(12_000, bench)
        try await clients.delete(1_000, bench)
        #expect(try !hasWholeLog(bench, primary(bench)))
        #expect(bench.registers.state.configuration.learners == [away])
        // Its first fetch is cut short; the second goes on with the files that are missing, in another life.
        bench.post.limitChunks(2)
        bench.start(victim)
        try await bench.open(victim, .existing)
        let half = bench.folder(victim) + ".fetched/segments/MANIFEST"
        #expect(try await bench.eventually { FileManager.default.fileExists(atPath: half) })
        await bench.kill(victim)
        bench.post.limitChunks(.max)
        bench.start(victim)
        try await bench.open(victim, .existing)
        #expect(try await isWhole(bench))
        #expect(bench.registers.state.configuration.named.contains(away))
        #expect(try !hasWholeLog(bench, victim))
        try await enthrone(away, bench)
        try await clients.check(bench)
        await bench.stop()
    }

    /// A log that still reaches back is enough.
    @Test func aNewCopyReplaysALogThatReachesBack() async throws {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        var clients = Clients()
        try await clients.enrol(2_000, bench)
        try await clients.delete(200, bench)
        let victim = another(bench)
        await bench.kill(victim)
        try FileManager.default.removeItem(atPath: "\(bench.root)/\(victim)")
        let new = CopiesBench.replica(victim, copy: 1)
        try await bench.name(new)
        bench.post.limitChunks(0)
        bench.start(victim)
        try await bench.open(victim, .joining, copy: 1)
        #expect(try await isWhole(bench))
        #expect(try hasWholeLog(bench, victim))
        try await enthrone(new, bench)
        try await clients.check(bench)
        await bench.stop()
    }

    /// One receiver at a time has a replica's files, as they were, until it releases them.
    @Test func whatIsLentStaysAsItWas() async throws {
        let bench = try await bench()
        var clients = Clients()
        try await clients.enrol(5_000, bench)
        let node = try #require(bench.post.node(CopiesBench.node(primary(bench))))
        let (one, other) = (CopiesBench.replica(1, copy: 5), CopiesBench.replica(2, copy: 5))
        #expect(try await bench.eventually { await node.listing(of: bench.shard, for: one) != nil })
        let listing = try #require(await node.listing(of: bench.shard, for: one))
        #expect(listing.isWhole && listing.files.contains { $0.name.hasSuffix(".seg") })
        #expect(await node.listing(of: bench.shard, for: other) == nil)
        for _ in 0..<4 {
            try await clients.enrol(5_000, bench)
            try await clients.delete(2_000, bench)
        }
        #expect(await node.listing(of: bench.shard, for: one) == listing)
        for file in listing.files {
            var sums: [UInt8] = []
            for chunk in file.chunks {
                let wanted = CopyChunk(
                    number: listing.number, file: file.name, offset: chunk.offset, bytes: chunk.bytes)
                let bytes = try #require(await node.read(wanted, of: bench.shard))
                sums += CopyDigest.sum(bytes)
            }
            #expect(CopyDigest.sum(sums) == file.digest, "\(file.name)")
            for (offset, bytes) in [(file.bytes, 1), (-1, 1), (0, 0), (0, file.bytes + 1), (.max, 8)] {
                let beyond = CopyChunk(number: listing.number, file: file.name, offset: offset, bytes: bytes)
                #expect(await node.read(beyond, of: bench.shard) == nil)
            }
        }
        await node.release(listing.number, of: bench.shard)
        let late = CopyChunk(number: listing.number, file: listing.files[0].name, offset: 0, bytes: 1)
        #expect(await node.read(late, of: bench.shard) == nil)
        #expect(try await bench.eventually { await node.listing(of: bench.shard, for: other) != nil })
        #expect(await node.listing(of: bench.shard, for: other)?.number != listing.number)
        #expect(!FileManager.default.fileExists(atPath: bench.folder(primary(bench)) + ".source"))
        await bench.stop()
    }
}
