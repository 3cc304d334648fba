import ClusterModel
import FaceModel
import Foundation
import Replication
import StorageIO
import Testing

@testable import ShardEngine

/// A shard that goes on in a later generation, because an operator has accepted a loss or made its register anew.
@Suite struct RecoveredShardTests {
    private func enrol(_ faces: Range<Int>, _ bench: CopiesBench) async throws -> [FaceID] {
        var ids: [FaceID] = []
        for start in stride(from: faces.lowerBound, to: faces.upperBound, by: 100) {
            let some = CopiesBench.faces(start..<min(start + 100, faces.upperBound))
            ids += try await bench.ask { (node) throws(ShardError) in
                try await node.enrol(some, bench.call(.seconds(20))).faces
            }
        }
        return ids
    }

    private func listed(_ bench: CopiesBench) async throws -> [FaceID] {
        try await bench.ask { (node) throws(ShardError) in
            try await node.list(after: nil, limit: 4_000, bench.call(.seconds(20))).faces.map(\.id)
        }
    }

    private func held(_ bench: CopiesBench, _ number: Int) async throws -> HeldCopy {
        let node = try #require(bench.post.node(CopiesBench.node(number)))
        let copies = try await node.copies(
            ofNode: CopiesBench.node(number), of: bench.shard, deadline: .now + .seconds(20))
        #expect(copies.count == 1)
        return try #require(copies.first)
    }

    /// As `facectl shard recover` and `control rebuild` write it.
    private func goOn(with number: Int, _ bench: CopiesBench, revision: UInt64? = nil) {
        let last = bench.registers.state.configuration
        var next = last.with(isr: [CopiesBench.replica(number)])
        next.generation = Generation(last.generation.value + 1)
        bench.registers.restore(
            next.reign(of: CopiesBench.replica(number), as: Incarnation(0)), revision: revision)
    }

    /// Changes a byte of the log's only file, at a part of what is written there.
    private func rot(_ folder: String, at part: Double) throws {
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder + "/wal").filter { $0.hasSuffix(".log") }.min())
        let url = URL(fileURLWithPath: folder + "/wal/" + name)
        var bytes = try Data(contentsOf: url)
        let used = try #require(bytes.lastIndex { $0 != 0 })
        bytes[Int(Double(used - 4_096) * part) + 4_096] ^= 0x55
        try bytes.write(to: url)
    }

    @Test func aLogThatProvesALossIsCutWhereThatIsAccepted() async throws {
        let bench = try CopiesBench(copies: 1, minISR: 1)
        try await bench.open(0, .making)
        let ids = try await enrol(0..<600, bench)
        let deleted = Array(ids[..<10])
        _ = try await bench.ask { (node) throws(ShardError) in
            try await node.delete(deleted, token: .none, bench.call(.seconds(20)))
        }
        await bench.kill(0)
        try rot(bench.folder(0), at: 0.5)
        for _ in 0..<2 {
            bench.start(0)
            await #expect(throws: ShardError.self) { try await bench.open(0, .existing) }
            guard case .lossProven(let first) = try await held(bench, 0).condition else {
                return #expect(Bool(false), "the loss is not seen")
            }
            #expect(first.value > 100)
            await bench.kill(0)
        }
        bench.start(0)
        await #expect(throws: ShardError.self) { try await bench.open(0, .existing) }
        goOn(with: 0, bench)
        // What stands before the loss is there, what was deleted behind it stays so, and nothing else is.
        let left = try await listed(bench)
        #expect((100..<590).contains(left.count))
        #expect(Set(left).isSubset(of: ids) && Set(left).isDisjoint(with: deleted))
        let again = try await enrol(10..<600, bench)
        #expect(Set(again).isSuperset(of: left) && Set(again).count == 590)
        await bench.kill(0)
        bench.start(0)
        try await bench.open(0, .existing)
        #expect(try await Set(listed(bench)) == Set(again))
        #expect(try await held(bench, 0).register.generation == Generation(1))
        await bench.stop()
    }

    /// The members are gone, and a copy that did not count any more goes on. One that comes back after all, and has more,
    /// answers nothing, and is made anew.
    @Test func aCopyThatDidNotCountGoesOn() async throws {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        let early = try await enrol(0..<300, bench)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        await bench.kill(2)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 2 })
        _ = try await enrol(300..<500, bench)
        for number in 0..<2 { await bench.kill(number) }
        bench.start(2)
        try await bench.open(2, .existing)
        #expect(try await held(bench, 2).condition == .whole)
        goOn(with: 2, bench)
        bench.start(0)
        do {
            try await bench.open(0, .existing)
        } catch ShardError.damaged {
            // It has found out by the time it is open.
        }
        #expect(
            try await bench.eventually {
                if case .unusable? = try? await held(bench, 0).condition { true } else { false }
            })
        let node = try #require(bench.post.node(CopiesBench.node(0)))
        await #expect(throws: ShardError.self) { try await bench.open(0, .existing) }
        try await node.drop(bench.call())
        try await bench.name(CopiesBench.replica(0, copy: 1))
        try await bench.open(0, .joining, copy: 1)
        #expect(try await Set(listed(bench)) == Set(early))
        let again = try await enrol(300..<500, bench)
        #expect(try await Set(listed(bench)) == Set(early + again))
        #expect(bench.registers.state.configuration.generation == Generation(1))
        await bench.stop()
    }

    /// One whose log was cut has applied more than its log tells: others do not follow that, but are built from its files.
    @Test func copiesOfOneWhoseLogWasCutAreBuiltFromItsFiles() async throws {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        _ = try await enrol(0..<300, bench)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        await bench.kill(2)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 2 })
        let ids = try await enrol(0..<500, bench)
        for number in 0..<2 { await bench.kill(number) }
        try rot(bench.folder(0), at: 0.3)
        goOn(with: 0, bench)
        bench.start(0)
        try await bench.open(0, .existing)
        bench.start(2)
        try await bench.open(2, .existing)
        let left = try await listed(bench)
        #expect(!left.isEmpty && left.count < 300 && Set(left).isSubset(of: ids))
        #expect(bench.registers.state.configuration.isr.contains(CopiesBench.replica(2)))
        try await bench.ask { (node) throws(ShardError) in
            try await node.retire(CopiesBench.replica(0), bench.call())
        }
        #expect(
            try await bench.eventually {
                bench.registers.state.configuration.primary == CopiesBench.replica(2)
            })
        #expect(try await listed(bench) == left)
        await bench.stop()
    }

    /// As after a store that was lost: its revisions begin again, nobody has stopped, and nothing is lost.
    @Test func copiesThatAgreeFollowIntoAnotherGeneration() async throws {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        let ids = try await enrol(0..<300, bench)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        for time in 1...2 {
            let heir = Int(bench.registers.state.configuration.primary.bits.low)
            goOn(with: heir, bench, revision: 1)
            #expect(try await Set(listed(bench)) == Set(ids))
            #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
            #expect(bench.registers.state.configuration.generation == Generation(UInt32(time)))
        }
        _ = try await enrol(300..<400, bench)
        for number in 0..<3 {
            let copy = try await held(bench, number)
            #expect(copy.condition == .whole && copy.register.generation == Generation(2))
        }
        await bench.stop()
    }

    /// An opening that a crash cuts short after the log was cut begins again.
    @Test func whatIsLostIsForgottenOnce() async throws {
        let bench = try CopiesBench(copies: 1, minISR: 1)
        try await bench.open(0, .making)
        _ = try await enrol(0..<300, bench)
        await bench.kill(0)
        try rot(bench.folder(0), at: 0.7)
        let memory = try Data(contentsOf: URL(fileURLWithPath: bench.folder(0) + "/replica"))
        goOn(with: 0, bench)
        bench.start(0)
        try await bench.open(0, .existing)
        let left = try await listed(bench)
        await bench.kill(0)
        // As if it had not come to remember the generation.
        try memory.write(to: URL(fileURLWithPath: bench.folder(0) + "/replica"))
        bench.start(0)
        try await bench.open(0, .existing)
        #expect(try await listed(bench) == left && !left.isEmpty)
        await bench.stop()
    }
}
