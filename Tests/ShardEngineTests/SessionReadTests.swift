import ClusterModel
import FaceModel
import Foundation
import Testing

@testable import ShardEngine

/// Reads that any copy answers: what a session has seen, and what is not older than a bound.
@Suite struct SessionReadTests {
    private func bench() async throws -> CopiesBench {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        return bench
    }

    private func enrol(_ range: Range<Int>, _ bench: CopiesBench) async throws -> EnrolOutcome {
        try await bench.ask { (node) throws(ShardError) in
            try await node.enrol(CopiesBench.faces(range), bench.call())
        }
    }

    private func call(_ bench: CopiesBench, _ level: ReadLevel) -> ShardCall {
        var call = bench.call()
        call.level = level
        return call
    }

    /// How many faces the node lists, and what it says of that.
    private func count(_ number: Int, _ level: ReadLevel, _ bench: CopiesBench) async throws -> FacePage {
        let node = try #require(bench.post.node(CopiesBench.node(number)))
        return try await node.list(after: nil, limit: 1_000, call(bench, level))
    }

    private func followers(_ bench: CopiesBench) -> [Int] {
        (0..<3).filter { UInt64($0) != bench.registers.state.configuration.primary.bits.low }
    }

    private func isNotServing(_ error: any Error) -> Bool {
        if case ShardError.notServing = error { true } else { false }
    }

    @Test func everyCopyShowsWhatTheSessionHasSeen() async throws {
        let bench = try await bench()
        for start in stride(from: 0, to: 300, by: 50) {
            let at = try await enrol(start..<start + 50, bench).at
            for number in 0..<3 {
                let page = try await count(number, .session(at), bench)
                #expect(page.faces.count >= start + 50 && page.at >= at)
                let search = ShardSearch(
                    query: CopiesBench.faces(start + 49..<start + 50)[0].vector, limit: 1, minScore: 0.999, sigmas: 6)
                let node = try #require(bench.post.node(CopiesBench.node(number)))
                let answers = try await node.search([search], call(bench, .session(at)))
                #expect(answers[0].candidates.count == 1 && answers[0].at >= at)
            }
        }
        await bench.stop()
    }

    @Test func everyCopyShowsWhatIsOlderThanTheBound() async throws {
        let bench = try await bench()
        _ = try await enrol(0..<50, bench)
        try await Task.sleep(for: .milliseconds(400))
        for number in 0..<3 {
            #expect(try await count(number, .bounded(milliseconds: 300), bench).faces.count == 50)
        }
        await bench.stop()
    }

    @Test func aCopyThatIsCutOffShowsWhatItHasAndNoMore() async throws {
        let bench = try await bench()
        let first = try await enrol(0..<50, bench).at
        let cut = try #require(followers(bench).first)
        #expect(try await count(cut, .session(first), bench).faces.count == 50)
        _ = try await count(cut, .bounded(milliseconds: 60_000), bench)
        bench.post.cut(CopiesBench.node(cut), true)
        let second = try await enrol(50..<80, bench).at
        #expect(try await count(cut, .session(first), bench).faces.count == 50)
        // By what the primary said before the cut.
        #expect(try await count(cut, .bounded(milliseconds: 60_000), bench).faces.count == 50)
        for level in [ReadLevel.session(second), .bounded(milliseconds: 10)] {
            await #expect { _ = try await count(cut, level, bench) } throws: { isNotServing($0) }
        }
        await #expect { _ = try await count(cut, .strong, bench) } throws: { _ in true }
        bench.post.cut(CopiesBench.node(cut), false)
        #expect(
            try await bench.eventually {
                (try? await count(cut, .session(second), bench))?.faces.count == 80
            })
        await bench.stop()
    }

    /// Where the other two are gone nobody decides, and sessions go on.
    @Test func theLastCopyAnswersSessions() async throws {
        let bench = try await bench()
        let at = try await enrol(0..<50, bench).at
        let left = try #require(followers(bench).first)
        // It has heard that what it holds is committed; else it would wait for a primary to say so.
        #expect(try await count(left, .session(at), bench).faces.count == 50)
        for number in 0..<3 where number != left { await bench.kill(number) }
        #expect(try await count(left, .session(at), bench).faces.count == 50)
        #expect(try await count(left, .session(.zero), bench).faces.count == 50)
        await #expect { _ = try await count(left, .bounded(milliseconds: 1), bench) } throws: { isNotServing($0) }
        await bench.stop()
    }

    /// Elsewhere than in its own generation a position says nothing.
    @Test func aPositionIsOfItsGeneration() async throws {
        let bench = try await bench()
        let at = try await enrol(0..<50, bench).at
        for number in 0..<3 {
            let other = ShardPosition(Generation(at.generation.value + 1), at.lsn)
            await #expect { _ = try await count(number, .session(other), bench) } throws: { isNotServing($0) }
        }
        await bench.stop()
    }

    /// It would say that there is nobody.
    @Test func aCopyThatIsBeingMadeAnswersNobody() async throws {
        let bench = try await bench()
        _ = try await enrol(0..<50, bench)
        let lost = try #require(followers(bench).first)
        await bench.kill(lost)
        try FileManager.default.removeItem(atPath: bench.folder(lost))
        bench.post.cut(CopiesBench.node(lost), true)
        let copy = CopiesBench.replica(lost, copy: 1)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 2 })
        try await bench.name(copy)
        bench.start(lost)
        try await bench.open(lost, .joining, copy: 1)
        for level in [ReadLevel.session(.zero), .bounded(milliseconds: 60_000)] {
            await #expect { _ = try await count(lost, level, bench) } throws: { isNotServing($0) }
        }
        bench.post.cut(CopiesBench.node(lost), false)
        #expect(
            try await bench.eventually { (try? await count(lost, .session(.zero), bench))?.faces.count == 50 })
        await bench.stop()
    }
}
