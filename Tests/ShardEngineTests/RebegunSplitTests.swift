import ClusterModel
import FaceModel
import Testing

@testable import ShardEngine

/// A split that was given up and begun again by the same plan, as a slow request may do.
@Suite struct RebegunSplitTests {
    private let plan = SplitPlan(
        first: .init(shard: ShardID(Bits128(high: 3, low: 1)), root: .root),
        second: .init(shard: ShardID(Bits128(high: 3, low: 2)), root: LeafID(1)))

    private func progress(_ bench: CopiesBench, _ number: Int) async -> SplitProgress? {
        guard let node = bench.post.node(CopiesBench.node(number)) else { return nil }
        do throws(ShardError) { return try await node.split(.look, bench.call()) } catch { return nil }
    }

    private func enrol(_ bench: CopiesBench, _ numbers: Range<Int>) async throws {
        _ = try await bench.ask { (node) throws(ShardError) in
            try await node.enrol(CopiesBench.faces(numbers), bench.call())
        }
    }

    private func ask(_ step: SplitStep, _ bench: CopiesBench) async throws -> SplitProgress {
        try await bench.ask { (node) throws(ShardError) in try await node.split(step, bench.call()) }
    }

    /// Faces of both halves, as a copy's files have them.
    private func faces(_ bench: CopiesBench, _ number: Int, _ end: LogIndex) throws -> Int {
        try plan.halves.map { half in
            let state = try ShardState(path: "\(bench.folder(number))/halves/\(end.value)/\(half.shard)/state.sqlite")
            return try state.list(after: nil, limit: 2_000).rows.count
        }.reduce(0, +)
    }

    /// One that hears of the end and of the new beginning at once has files from before; what was enrolled in between is
    /// not in them.
    @Test func filesFromBeforeDoNotCount() async throws {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        try await enrol(bench, 0..<800)
        #expect(try await bench.eventually { (try? await ask(.begin(plan), bench)) != nil })
        for number in 0..<3 {
            #expect(try await bench.eventually { await progress(bench, number)?.hasHalves == true })
        }
        let primary = Int(bench.registers.state.configuration.primary.bits.low)
        let lagging = (primary + 1) % 3
        bench.post.cut(CopiesBench.node(lagging), true)
        _ = try await ask(.abort, bench)
        try await enrol(bench, 800..<1_000)
        let again = try await ask(.begin(plan), bench)
        bench.post.cut(CopiesBench.node(lagging), false)
        for number in 0..<3 {
            let isMade = try await bench.eventually {
                let progress = await progress(bench, number)
                return progress?.hasHalves == true && progress?.end == again.end
            }
            #expect(isMade && again.plan == plan)
            #expect(try faces(bench, number, again.end) == 1_000, "copy \(number), of which \(lagging) lagged")
        }
        await bench.stop()
    }
}
