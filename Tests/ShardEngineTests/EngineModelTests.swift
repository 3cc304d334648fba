import Foundation
import Testing

/// The engine beside a model that cannot be wrong: docs/reliability.md.
@Suite struct EngineModelTests {
    /// Seeds that found something once.
    private static let corpus: [UInt64] = [40_065, 40_078, 40_144]
    private static let operationsOfAWorld = 250
    private static let environment = ProcessInfo.processInfo.environment
    /// `FACET_ENGINE_OPS` sets how many operations, for a soak; `FACET_ENGINE_SEED` the first seed.
    private static let operations = environment["FACET_ENGINE_OPS"].flatMap { Int($0) } ?? 8_500
    private static let firstSeed = environment["FACET_ENGINE_SEED"].flatMap { UInt64($0) } ?? 1

    @Test func everyAnswerIsTheModels() async throws {
        let worlds = UInt64((Self.operations + Self.operationsOfAWorld - 1) / Self.operationsOfAWorld)
        let seeds = Self.corpus + (0..<worlds).map { Self.firstSeed + $0 }
        let tally = try await Self.run(seeds)
        if Self.environment["FACET_ENGINE_OPS"] != nil {
            FileHandle.standardError.write(Data("seeds from \(Self.firstSeed), \(worlds) worlds: \(tally)\n".utf8))
        }
        #expect(tally.searches * 2 > Self.operations && tally.enrolmentsOfGone > 0)
    }

    /// One vector under many names: no division of it can help, nothing can be dropped, the smallest FaceIds win.
    @Test func oneVectorByTheThousandIsRankedByID() async throws {
        let run = try await EngineModelRun(seed: 9)
        try await run.enrolEqual(6_000)
        for round in 0..<4 {
            try await run.search(count: 20)
            try await run.searchBuckets()
            if round % 2 == 0 { try await run.deleteMany() } else { try await run.reopen() }
        }
        try await run.compareEverything()
        try await run.shard.remove()
    }

    /// The model sees a miss: bounds a tenth as wide as they should be lose faces.
    @Test func boundsThatAreTooNarrowAreFoundOut() async throws {
        await #expect(throws: EngineModelDifference.self) {
            for seed in 1...20 as ClosedRange<UInt64> {
                let run = try await EngineModelRun(seed: seed)
                run.sigmasInstead = 0.6
                _ = try await run.run(operations: Self.operationsOfAWorld)
            }
        }
    }

    /// Two at a time, each seed a shard of its own.
    private static func run(_ seeds: [UInt64]) async throws -> EngineModelTally {
        try await withThrowingTaskGroup(of: EngineModelTally.self) { group in
            var (rest, tally) = (seeds.makeIterator(), EngineModelTally())
            func next() {
                guard let seed = rest.next() else { return }
                group.addTask {
                    do {
                        return try await EngineModelRun(seed: seed).run(operations: operationsOfAWorld)
                    } catch let difference as EngineModelDifference {
                        Issue.record(difference)
                        return EngineModelTally()
                    } catch {
                        Issue.record(error, "seed \(seed)")
                        return EngineModelTally()
                    }
                }
            }
            for _ in 0..<2 { next() }
            while let ended = try await group.next() {
                tally = tally + ended
                next()
            }
            return tally
        }
    }
}
