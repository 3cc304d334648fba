import FaceModel
import Glibc
import Testing

@testable import VectorSearch

@Suite struct BucketTreeTests {
    private static let dimension = 64

    /// A tree of random splits below three roots.
    private func tree(splits: Int, seed: UInt64) throws -> BucketTree {
        var random = Seeded(seed)
        var tree = BucketTree(roots: [LeafID(9), LeafID(2), LeafID(255)])
        for _ in 0..<splits {
            let leaves = tree.leaves
            let parent = leaves[Int.random(in: leaves.indices, using: &random)]
            let pair = try vectors(2, Self.dimension, seed: random.next())
            tree.apply(BucketSplit(parent: parent, children: tree.nextChildren, centroids: (pair[0], pair[1])))
        }
        return tree
    }

    @Test func idsRiseAboveEveryRootAndStayClearOfThem() throws {
        #expect(BucketTree(roots: [.root]).nextChildren == (LeafID(256), LeafID(257)))
        #expect(BucketTree(roots: [LeafID(300)]).nextChildren == (LeafID(301), LeafID(302)))
        let tree = try tree(splits: 50, seed: 1)
        #expect(tree.nextChildren == (LeafID(356), LeafID(357)))
        #expect(tree.leaves.count == 53 && tree.leaves == tree.leaves.sorted())
        #expect(tree.roots == [LeafID(2), LeafID(9), LeafID(255)])
    }

    @Test func descentTakesTheNearestChildAtEachLevelAndTheFirstOfEquals() throws {
        let tree = try tree(splits: 40, seed: 2)
        for vector in try vectors(300, Self.dimension, seed: 3) {
            for root in tree.roots {
                let leaf = tree.leaf(of: vector, below: root)
                #expect(tree.isLeaf(leaf))
                // Climbing from the leaf, each step was the better of two.
                let path = tree.paths(to: [leaf]).sorted()
                #expect(path.first == root && path.last == leaf)
                for step in path.dropFirst() {
                    #expect(tree.leaf(of: vector, below: step) == leaf)
                    let odd = step.value % 2 == 1
                    let other = LeafID(odd ? step.value - 1 : step.value + 1)
                    let own = exactScore(PreparedQuery(vector), try #require(tree.centroid(of: step)))
                    let theirs = exactScore(PreparedQuery(vector), try #require(tree.centroid(of: other)))
                    #expect(own >= theirs)
                }
            }
        }
        var even = BucketTree(roots: [.root])
        let same = try vectors(1, Self.dimension, seed: 4)[0]
        even.apply(BucketSplit(parent: .root, children: even.nextChildren, centroids: (same, same)))
        #expect(even.leaf(of: same, below: .root) == LeafID(256))
    }

    /// With no more than 8 buckets a level every leaf is looked at.
    @Test func theHomeOfANewFaceIsTheNearestLeafOfSeveralDescents() throws {
        var tree = BucketTree(roots: [.root])
        let face = try vectors(1, Self.dimension, seed: 90)[0]
        #expect(tree.home(of: face, below: .root) == .root)
        for seed in 0..<7 as Range<UInt64> {
            let pair = try vectors(2, Self.dimension, seed: seed)
            let split = BucketSplit(
                parent: try #require(tree.leaves.first), children: tree.nextChildren, centroids: (pair[0], pair[1]))
            tree.apply(split)
        }
        let leaves = tree.leaves
        let centroids = leaves.compactMap(tree.centroid)
        for face in try vectors(300, Self.dimension, seed: 91) {
            let nearest = BucketRanking(centroids: centroids).order(face, first: 1)
            #expect(tree.home(of: face, below: .root) == leaves[nearest[0]])
        }
        let large = try self.tree(splits: 400, seed: 92)
        var better = 0
        for face in try vectors(300, Self.dimension, seed: 93) {
            let (home, leaf) = (large.home(of: face, below: LeafID(9)), large.leaf(of: face, below: LeafID(9)))
            #expect(large.isLeaf(home) && large.paths(to: [home]).contains(LeafID(9)))
            let query = PreparedQuery(face)
            let gain =
                exactScore(query, try #require(large.centroid(of: home)))
                - exactScore(query, try #require(large.centroid(of: leaf)))
            if gain > 0 { better += 1 }
        }
        #expect(better > 100)
    }

    @Test func aSplitMovesNobodyOutsideTheBucketThatIsSplit() throws {
        var tree = try tree(splits: 20, seed: 5)
        let faces = try vectors(500, Self.dimension, seed: 6)
        let before = faces.map { tree.leaf(of: $0, below: LeafID(9)) }
        let parent = try #require(before.first)
        let pair = try vectors(2, Self.dimension, seed: 7)
        let split = BucketSplit(parent: parent, children: tree.nextChildren, centroids: (pair[0], pair[1]))
        tree.apply(split)
        for (face, old) in zip(faces, before) {
            let new = tree.leaf(of: face, below: LeafID(9))
            #expect(new == tree.leaf(of: face, below: old))
            #expect(old == parent ? [split.children.0, split.children.1].contains(new) : new == old)
        }
    }

    @Test func whatIsAskedForIsExpandedToLeavesAndTheirPaths() throws {
        let tree = try tree(splits: 30, seed: 8)
        #expect(tree.expand(tree.roots) == Set(tree.leaves))
        #expect(tree.expand([LeafID(7), LeafID(100_000)]).isEmpty)
        for id in tree.splitBuckets {
            let below = tree.expand([id])
            #expect(below == Set(tree.leaves.filter { tree.paths(to: [$0]).contains(id) }))
            #expect(below.count > 1 && tree.paths(to: below).isSuperset(of: below.union([id])))
        }
        let leaf = tree.leaves[5]
        #expect(tree.expand([leaf, leaf]) == [leaf])
        #expect(tree.centroid(of: LeafID(2)) == nil)
    }

    @Test func whatDoesNotFollowIsNotAccepted() throws {
        let tree = try tree(splits: 3, seed: 9)
        let pair = try vectors(2, Self.dimension, seed: 1)
        let short = RotatedVector(rotated: [1, 0])
        let (first, second) = tree.nextChildren
        let leaf = tree.leaves[0]
        let accepts = { (parent: LeafID, a: LeafID, b: LeafID, c: RotatedVector, d: RotatedVector) in
            tree.accepts(BucketSplit(parent: parent, children: (a, b), centroids: (c, d)))
        }
        #expect(accepts(leaf, first, second, pair[0], pair[1]))
        #expect(!accepts(LeafID(77_777), first, second, pair[0], pair[1]))
        #expect(!accepts(try #require(tree.splitBuckets.first), first, second, pair[0], pair[1]))
        #expect(!accepts(leaf, second, first, pair[0], pair[1]))
        #expect(!accepts(leaf, first, first, pair[0], pair[1]))
        #expect(!accepts(leaf, leaf, second, pair[0], pair[1]))
        #expect(!accepts(leaf, first, second, pair[0], short))
        #expect(!accepts(leaf, first, second, short, short))
    }
}

@Suite struct BucketDivisionTests {
    @Test(arguments: [64, 128, 512]) func facesOfTwoKindsAreToldApart(_ dimension: Int) throws {
        let kinds = try vectors(2, dimension, seed: 11)
        var random = Seeded(12)
        let faces = (0..<400).map { number in
            CoverageCurve.simulatedMate(of: kinds[number % 4 == 0 ? 1 : 0], cosine: 0.6, using: &random)
        }
        let (first, second) = try #require(BucketDivision.divide(faces))
        for centroid in [first, second] {
            #expect(abs(squaredLength(centroid) - 1) < 1e-5)
        }
        let sides = faces.map { exactScore(PreparedQuery(first), $0) >= exactScore(PreparedQuery(second), $0) }
        for (number, side) in sides.enumerated() { #expect(side == sides[number % 4 == 0 ? 0 : 1]) }
        let again = try #require(BucketDivision.divide(faces))
        #expect(again == (first, second))
    }

    @Test func shapelessFacesAreDividedAboutEvenly() throws {
        for seed in 20..<26 as Range<UInt64> {
            let faces = try vectors(1_000, 64, seed: seed)
            let (first, second) = try #require(BucketDivision.divide(faces))
            let nearer = faces.count { exactScore(PreparedQuery(first), $0) >= exactScore(PreparedQuery(second), $0) }
            #expect((250...750).contains(nearer))
        }
    }

    @Test func whatIsEqualIsNotDivided() throws {
        let faces = try vectors(2, 64, seed: 30)
        #expect(BucketDivision.divide([]) == nil)
        #expect(BucketDivision.divide(faces) == nil)
        #expect(BucketDivision.divide([RotatedVector](repeating: faces[0], count: 1_000)) == nil)
        let few = [RotatedVector](repeating: faces[0], count: 990) + [RotatedVector](repeating: faces[1], count: 10)
        #expect(BucketDivision.divide(few) == nil)
        let half = [RotatedVector](repeating: faces[0], count: 500) + [RotatedVector](repeating: faces[1], count: 500)
        #expect(BucketDivision.divide(half) != nil)
        let opposite = RotatedVector(rotated: faces[0].values.map { -$0 })
        #expect(
            BucketDivision.divide([faces[0], opposite].flatMap { [RotatedVector](repeating: $0, count: 9) }) != nil)
        #expect(
            BucketDivision.divide(
                [RotatedVector](
                    repeating: RotatedVector(rotated: [0, 0, 0, 0, 0, 0, 0, 0]),
                    count: 99)) == nil)
    }

    /// 2-means alone would set the one person apart and leave everybody else together.
    @Test func manyImagesOfOnePersonDoNotHoldUpADivision() throws {
        var random = Seeded(41)
        let person = try vectors(1, 128, seed: 40)[0]
        let faces =
            (0..<60).map { _ in CoverageCurve.simulatedMate(of: person, cosine: 0.95, using: &random) }
            + (try vectors(940, 128, seed: 42))
        let (first, second) = try #require(BucketDivision.divide(faces))
        let nearer = faces.count { exactScore(PreparedQuery(first), $0) >= exactScore(PreparedQuery(second), $0) }
        #expect((125...875).contains(nearer))
    }
}

@Suite struct BucketRankingTests {
    @Test(arguments: [1, 2, 7, 100, 999, 1_000, 5_000]) func theOrderIsThatOfExactScores(_ first: Int) throws {
        var centroids = try vectors(1_000, 64, seed: 50)
        // Equals, opposites and zeros among them.
        for index in 0..<50 { centroids[200 + index] = centroids[index] }
        for index in 0..<50 { centroids[300 + index] = RotatedVector(rotated: centroids[index].values.map { -$0 }) }
        for index in 400..<450 { centroids[index] = RotatedVector(rotated: [Float](repeating: 0, count: 64)) }
        centroids[420] = RotatedVector(rotated: [Float](repeating: -0.0, count: 64))
        let ranking = BucketRanking(centroids: centroids)
        for query in try vectors(10, 64, seed: 51) + [centroids[0], centroids[400]] {
            let prepared = PreparedQuery(query)
            let scores = centroids.map { exactScore(prepared, $0) }
            let expected = scores.indices.sorted { (-scores[$0], $0) < (-scores[$1], $1) }
            #expect(ranking.order(query, first: first) == Array(expected.prefix(first)))
        }
    }

    @Test func nothingIsRankedWhereThereIsNothing() throws {
        let query = try vectors(1, 64, seed: 1)[0]
        #expect(BucketRanking(centroids: []).order(query, first: 5).isEmpty)
        #expect(BucketRanking(centroids: [query]).order(query, first: 0).isEmpty)
        #expect(BucketRanking(centroids: [query]).order(query, first: 3) == [0])
    }
}

@Suite struct CoverageCurveTests {
    @Test func probesCoverAFurtherMateAsOftenAsWasAskedFor() {
        var random = Seeded(60)
        // Ranks as steep as those of faces, drawn from one distribution for curve and test alike.
        let draw = { (random: inout Seeded) in min(999, Int(-20 * log2(Double.random(in: 0.0001..<1, using: &random))))
        }
        for coverage in [0.5, 0.9, 0.95, 0.99] {
            var covered = 0
            let trials = 4_000
            for _ in 0..<trials {
                let curve = CoverageCurve(ranks: (0..<200).map { _ in draw(&random) }, buckets: 1_000, source: .mates)
                if draw(&random) < curve.probes(for: coverage) { covered += 1 }
            }
            let share = Double(covered) / Double(trials)
            let error = (coverage * (1 - coverage) / Double(trials)).squareRoot()
            #expect(share > coverage - 4 * error && share < coverage + 0.06, "\(coverage): \(share)")
        }
    }

    @Test func tooFewMatesMeanEveryBucket() {
        #expect(CoverageCurve(ranks: [], buckets: 70, source: .assumed).probes(for: 0.5) == 70)
        #expect(CoverageCurve(ranks: [0, 0], buckets: 70, source: .mates).probes(for: 0.95) == 70)
        let curve = CoverageCurve(ranks: Array(0..<99), buckets: 200, source: .mates)
        #expect(curve.probes(for: 0.99) == 99 && curve.probes(for: 0.995) == 200)
        #expect(curve.probes(for: 0) == 1 && curve.probes(for: 0.5) == 50)
        #expect(curve.mates == 99 && curve.buckets == 200)
    }

    @Test(arguments: [Float(1), 0.67, 0, -1]) func simulatedMatesHaveTheCosineAskedFor(_ wanted: Float) throws {
        var random = Seeded(61)
        let others = try vectors(30, 128, seed: 62)
        for vector in try vectors(20, 128, seed: 63) {
            for others in [[], others, [vector]] {
                let mate = CoverageCurve.simulatedMate(of: vector, cosine: wanted, among: others, using: &random)
                #expect(abs(cosine(vector.values, mate.values) - Double(wanted)) < 1e-5)
                #expect(abs(squaredLength(mate) - 1) < 1e-5)
            }
        }
    }

    /// Others that vary in one half of the components alone: so do the mates.
    @Test func simulatedMatesVaryAsOthersDo() {
        var random = Seeded(64)
        let flat = { (random: inout Seeded) in
            let values = (0..<64).map { $0 < 32 ? Float(random.normal()) : 0 }
            let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return RotatedVector(rotated: values.map { $0 / length })
        }
        let others = (0..<40).map { _ in flat(&random) }
        let mate = CoverageCurve.simulatedMate(of: others[0], cosine: 0.5, among: others, using: &random)
        #expect(mate.values[32...].allSatisfy { abs($0) < 1e-6 })
    }
}
