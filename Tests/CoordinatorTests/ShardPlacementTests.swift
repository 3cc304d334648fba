import ClusterModel
import FaceModel
import Testing

@testable import Coordinator

@Suite struct ShardPlacementTests {
    private func register(_ node: Int, zone: String) -> NodeRegister {
        NodeRegister(
            node: Fixture.node(node), address: NodeAddress(host: "localhost", port: 1), zone: zone, capacityBytes: 1,
            started: Timestamp(milliseconds: 0))
    }

    /// Numbers of the nodes; `there` is copies and primaries that each has before.
    private func place(
        _ count: Int, copies: Int, _ zones: [String], there: [(copies: Int, firsts: Int)] = []
    ) -> [[Int]] {
        let nodes = zones.enumerated().map { register($0.offset, zone: $0.element) }
        var (copiesThere, firsts): ([NodeID: Int], [NodeID: Int]) = ([:], [:])
        for (number, load) in there.enumerated() {
            copiesThere[Fixture.node(number)] = load.copies
            firsts[Fixture.node(number)] = load.firsts
        }
        var placement = ShardPlacement(among: nodes, copies: copiesThere, firsts: firsts)
        return placement.places(for: count, copies: copies).map { places in
            places.compactMap { place in nodes.firstIndex { $0.node == place } }
        }
    }

    @Test func zonesFirstThenTheEmptiestNodeThenTheName() {
        #expect(place(4, copies: 1, ["a", "a", "b", "b"]) == [[0], [2], [1], [3]])
        #expect(place(6, copies: 1, ["a", "a", "b"]) == [[0], [2], [1], [2], [0], [2]])
        #expect(place(3, copies: 1, ["a"]) == [[0], [0], [0]])
    }

    @Test func otherShardsCount() {
        #expect(place(4, copies: 1, ["z", "z", "z"], there: [(2, 2), (1, 1), (0, 0)]) == [[2], [1], [2], [0]])
        #expect(place(1, copies: 2, ["z", "z", "z"], there: [(2, 2), (1, 1), (0, 0)]) == [[2, 1]])
    }

    @Test func copiesOfAShardAreApart() {
        for zones in [["a", "b", "c"], ["a", "a", "b", "b", "c"], ["a", "b", "c", "d", "a", "b", "c", "d"]] {
            for places in place(20, copies: 3, zones) {
                #expect(Set(places).count == 3 && Set(places.map { zones[$0] }).count == 3)
            }
        }
        // Two zones do not do for three copies: both are used, no node twice.
        for places in place(20, copies: 3, ["a", "b", "a", "b"]) {
            #expect(Set(places).count == 3 && Set(places.map { $0 % 2 }).count == 2)
        }
        for places in place(5, copies: 3, ["a", "a", "a"]) { #expect(Set(places).count == 3) }
    }

    @Test func copiesAndPrimariesAreSpread() {
        for zones in [["a", "b", "c"], ["a", "b", "a", "b"], ["a", "a", "b", "b", "c", "c"]] {
            let places = place(60, copies: 3, zones)
            let copies = zones.indices.map { node in places.count { $0.contains(node) } }
            let firsts = zones.indices.map { node in places.count { $0[0] == node } }
            #expect((copies.max() ?? 0) - (copies.min() ?? 0) <= 2, "\(zones): \(copies)")
            #expect((firsts.max() ?? 0) - (firsts.min() ?? 0) <= 2, "\(zones): \(firsts)")
        }
    }

    @Test func theOrderOfTheRegistersDoesNotMatter() {
        let nodes = (0..<5).map { register($0, zone: $0 < 2 ? "a" : "b") }
        var straight = ShardPlacement(among: nodes, copies: [:], firsts: [:])
        var reversed = ShardPlacement(among: nodes.reversed(), copies: [:], firsts: [:])
        #expect(straight.places(for: 9, copies: 3) == reversed.places(for: 9, copies: 3))
    }
}
