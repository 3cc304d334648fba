import FaceModel
import SegmentStore
import Testing

@Test private func nothingIsDueWhileClassesFill() {
    #expect(CompactionPlanner.plan([]) == nil)
    #expect(CompactionPlanner.plan((1...3).map { SegmentWeight(number: $0, rows: 8_192, dead: 0) }) == nil)
    // Exactly a quarter dead is not more than a quarter.
    #expect(CompactionPlanner.plan([SegmentWeight(number: 1, rows: 100, dead: 25)]) == nil)
}

@Test private func fourOfASizeAreMerged() {
    let small = (1...4).map { SegmentWeight(number: $0, rows: 8_192, dead: 10) }
    let large = SegmentWeight(number: 9, rows: 500_000, dead: 0)
    #expect(CompactionPlanner.plan(small + [large]) == [1, 2, 3, 4])
}

@Test private func wornSegmentsComeFirst() {
    var segments = (1...4).map { SegmentWeight(number: $0, rows: 8_192, dead: 0) }
    segments.append(SegmentWeight(number: 7, rows: 100_000, dead: 26_000))
    #expect(CompactionPlanner.plan(segments) == [7])
}

@Test private func segmentsOfSplitLeavesComeNext() {
    var segments = (1...4).map { SegmentWeight(number: $0, rows: 8_192, dead: 0) }
    segments.append(SegmentWeight(number: 7, rows: 100_000, dead: 0, strayed: 50_001))
    segments.append(SegmentWeight(number: 8, rows: 100_000, dead: 0, strayed: 50_000))
    #expect(CompactionPlanner.plan(segments) == [7])
    segments.append(SegmentWeight(number: 9, rows: 10, dead: 3))
    #expect(CompactionPlanner.plan(segments) == [9])
}

@Test private func plansFitASegmentAndComeToAnEnd() {
    var generator = Seeded(12)
    for _ in 0..<300 {
        var segments = (1...UInt64.random(in: 1...40, using: &generator)).map { number in
            let rows = Int.random(in: 1...Limits.segmentFacesMax, using: &generator)
            return SegmentWeight(number: number, rows: rows, dead: Int.random(in: 0...rows, using: &generator))
        }
        let live = segments.reduce(0) { $0 + $1.rows - $1.dead }
        var next: UInt64 = 1_000
        var merges = 0
        while let inputs = CompactionPlanner.plan(segments) {
            let merged = segments.filter { inputs.contains($0.number) }.reduce(0) { $0 + $1.rows - $1.dead }
            #expect(merged <= Limits.segmentFacesMax && !inputs.isEmpty)
            segments.removeAll { inputs.contains($0.number) }
            if merged > 0 { segments.append(SegmentWeight(number: next, rows: merged, dead: 0)) }
            next += 1
            merges += 1
            guard merges < 500 else { break }
        }
        #expect(merges < 500)
        #expect(segments.reduce(0) { $0 + $1.rows - $1.dead } == live)
        #expect(segments.allSatisfy { $0.dead * 4 <= $0.rows })
    }
}
