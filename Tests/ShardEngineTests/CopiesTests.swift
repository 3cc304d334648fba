import ClusterModel
import FaceModel
import Foundation
import Replication
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// Three copies of a shard on nodes of this process, on the real disk.
@Suite struct CopiesTests {
    private func bench() async throws -> CopiesBench {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        return bench
    }

    private func lsn(_ bench: CopiesBench, _ number: Int) async -> LogIndex? {
        guard let node = bench.post.node(CopiesBench.node(number)) else { return nil }
        return try? await node.statistics(bench.call()).lsn
    }

    private func found(_ bench: CopiesBench, _ face: NewFace) async throws -> FaceID? {
        let search = ShardSearch(query: face.vector, limit: 1, minScore: 0.999, sigmas: 6)
        let answers = try await bench.ask { (node) throws(ShardError) in try await node.search([search], bench.call()) }
        return answers[0].candidates.first?.face.id
    }

    @Test func everyCopyAppliesWhatThePrimaryAcknowledged() async throws {
        let bench = try await bench()
        let faces = CopiesBench.faces(0..<300)
        let outcome = try await bench.ask { (node) throws(ShardError) in try await node.enrol(faces, bench.call()) }
        #expect(Set(outcome.faces).count == 300)
        for number in 0..<3 {
            #expect(try await bench.eventually { await lsn(bench, number).map { $0 >= outcome.at.lsn } ?? false })
        }
        #expect(try await found(bench, faces[17]) == outcome.faces[17])
        let primary = Int(bench.registers.state.configuration.primary.bits.low)
        for number in 0..<3 {
            let node = try #require(bench.post.node(CopiesBench.node(number)))
            #expect(node.copies == CopyCensus(primary: number == primary ? 1 : 0, inSync: 1, behind: 0))
        }
        for number in 0..<3 where number != primary {
            let follower = try #require(bench.post.node(CopiesBench.node(number)))
            await #expect(throws: ShardError.notPrimary(bench.shard)) {
                try await follower.enrol(faces, bench.call())
            }
            await #expect(throws: ShardError.notPrimary(bench.shard)) {
                try await follower.list(after: nil, limit: 1, bench.call())
            }
        }
        await bench.stop()
    }

    @Test func anotherCopyTakesOverAndTheOldOneCatchesUp() async throws {
        let bench = try await bench()
        let faces = CopiesBench.faces(0..<600)
        let first = try await bench.ask { (node) throws(ShardError) in
            try await node.enrol(Array(faces[..<200]), bench.call())
        }
        let old = Int(bench.registers.state.configuration.primary.bits.low)
        await bench.kill(old)
        let second = try await bench.ask { (node) throws(ShardError) in
            try await node.enrol(Array(faces[200..<400]), bench.call())
        }
        #expect(Int(bench.registers.state.configuration.primary.bits.low) != old)
        #expect(try await found(bench, faces[3]) == first.faces[3])
        bench.start(old)
        try await bench.open(old, .existing)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        let third = try await bench.ask { (node) throws(ShardError) in
            try await node.delete(Array(first.faces[..<50]), token: .none, bench.call())
        }
        #expect(third.deleted.count == 50)
        #expect(try await bench.eventually { await lsn(bench, old).map { $0 >= third.at.lsn } ?? false })
        #expect(try await found(bench, faces[3]) == nil)
        #expect(try await found(bench, faces[399]) == second.faces[199])
        await bench.stop()
    }

    @Test func aDeleteThatIsAskedAgainAtTheNextPrimaryIsAnsweredAsItWas() async throws {
        let bench = try await bench()
        let token = RequestToken(Bits128(high: 3, low: 3))
        let ids = try await bench.ask { (node) throws(ShardError) in
            try await node.enrol(CopiesBench.faces(0..<30), bench.call()).faces
        }
        for number in 0..<3 {
            let outcome = try await bench.ask { (node) throws(ShardError) in
                try await node.delete(ids, token: token, bench.call())
            }
            #expect(outcome.deleted == ids && outcome.notFound.isEmpty, "time \(number)")
            let primary = Int(bench.registers.state.configuration.primary.bits.low)
            await bench.kill(primary)
            bench.start(primary)
            try await bench.open(primary, .existing)
            #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        }
        let stranger = try await bench.ask { (node) throws(ShardError) in
            try await node.delete(ids, token: .none, bench.call())
        }
        #expect(stranger.deleted.isEmpty && stranger.notFound == ids)
        await bench.stop()
    }

    @Test func anEnrolmentThatIsAskedAgainAtTheNextPrimaryIsAnsweredAsItWas() async throws {
        let bench = try await bench()
        let token = RequestToken(Bits128(high: 3, low: 3))
        var faces = CopiesBench.faces(0..<30)
        for position in faces.indices { faces[position].token = token.face(at: position) }
        let request = faces
        func enrol(_ faces: [NewFace]) async throws -> [FaceID] {
            try await bench.ask { (node) throws(ShardError) in try await node.enrol(faces, bench.call()).faces }
        }
        let ids = try await enrol(request)
        // Another client, before whoever enrolled them has heard of it.
        let gone = try await bench.ask { (node) throws(ShardError) in
            try await node.delete(ids, token: .none, bench.call())
        }
        #expect(gone.deleted == ids)
        for number in 0..<3 {
            #expect(try await enrol(request) == ids, "time \(number)")
            #expect(try await found(bench, faces[7]) == nil, "time \(number)")
            let primary = Int(bench.registers.state.configuration.primary.bits.low)
            await bench.kill(primary)
            bench.start(primary)
            try await bench.open(primary, .existing)
            #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        }
        let renewed = try await enrol(CopiesBench.faces(0..<30))
        #expect(Set(renewed).isDisjoint(with: ids) && Set(renewed).count == 30)
        await bench.stop()
    }

    /// Nobody can confirm and nobody can be chosen: requests end at their deadline or are turned away, and none piles up.
    @Test func writesThatNobodyConfirmsAreBounded() async throws {
        let bench = try await bench()
        let faces = CopiesBench.faces(0..<1)
        _ = try await bench.ask { (node) throws(ShardError) in try await node.enrol(faces, bench.call()) }
        let primary = Int(bench.registers.state.configuration.primary.bits.low)
        let node = try #require(bench.post.node(CopiesBench.node(primary)))
        bench.registers.setDown(true)
        bench.post.cut(CopiesBench.node(primary), true)
        let ends = await withTaskGroup(of: ShardError?.self) { group in
            for number in 0..<(3 * Limits.logInboxMax) {
                group.addTask {
                    do throws(ShardError) {
                        _ = try await node.enrol(
                            CopiesBench.faces(number + 1..<number + 2), bench.call(.seconds(5)))
                        return nil
                    } catch {
                        return error
                    }
                }
                // So that the writer takes what has come before more comes.
                if number.isMultiple(of: 512) { await Task.yield() }
            }
            // What was written before the cut was noticed waits for the other copies; they come back at last.
            group.addTask {
                _ = try? await Task.sleep(for: .seconds(6))
                bench.registers.setDown(false)
                bench.post.cut(CopiesBench.node(primary), false)
                return nil
            }
            return await group.reduce(into: [ShardError?]()) { $0.append($1) }
        }
        #expect(ends.contains { if case .busy? = $0 { true } else { false } })
        #expect(ends.contains { if case .notServing? = $0 { true } else { false } })
        await bench.stop()
    }

    /// Killed again and again, whoever decides: nothing acknowledged is lost, nothing deleted comes back.
    @Test func nothingAcknowledgedIsLostAsNodesDie() async throws {
        let bench = try await bench()
        var random = SplitMix(state: 11)
        var living: [FaceID: NewFace] = [:]
        var gone: Set<FaceID> = []
        for round in 0..<8 {
            let faces = CopiesBench.faces(round * 100..<round * 100 + 100)
            let outcome = try await bench.ask { (node) throws(ShardError) in
                try await node.enrol(faces, bench.call())
            }
            for (id, face) in zip(outcome.faces, faces) { living[id] = face }
            let doomed = Array(living.keys.sorted().prefix(20))
            _ = try await bench.ask { (node) throws(ShardError) in
                try await node.delete(doomed, token: .none, bench.call())
            }
            for id in doomed {
                living[id] = nil
                gone.insert(id)
            }
            let victim = Int.random(in: 0..<3, using: &random)
            await bench.kill(victim)
            bench.start(victim)
            try await bench.open(victim, .existing)
            #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        }
        var listed: [FaceID] = []
        while true {
            let after = listed.last
            let page = try await bench.ask { (node) throws(ShardError) in
                try await node.list(after: after, limit: 1_000, bench.call())
            }
            listed += page.faces.map(\.id)
            if !page.more { break }
        }
        #expect(Set(listed) == Set(living.keys))
        #expect(gone.isDisjoint(with: listed))
        await bench.stop()
    }
}
