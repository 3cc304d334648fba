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

    private func place(_ count: Int, _ zones: [String], maps: [CollectionMap] = []) -> [Int]? {
        let nodes = zones.enumerated().map { register($0.offset, zone: $0.element) }
        return ShardPlacement.nodes(for: count, among: nodes, maps: maps).map { places in
            places.compactMap { place in nodes.firstIndex { $0.node == place } }
        }
    }

    @Test func zonesFirstThenTheEmptiestNodeThenTheName() {
        #expect(place(4, ["a", "a", "b", "b"]) == [0, 2, 1, 3])
        #expect(place(6, ["a", "a", "b"]) == [0, 2, 1, 2, 0, 2])
        #expect(place(3, ["a"]) == [0, 0, 0])
        #expect(place(2, []) == nil)
    }

    @Test func shardsOfOtherCollectionsCount() {
        // Node 0 has two shards, node 1 one, node 2 none.
        let maps = [
            Fixture.map(version: 1, [(0, [0]), (1, [1])]), Fixture.map(version: 1, [(0, [0])]),
        ]
        #expect(place(4, ["z", "z", "z"], maps: maps) == [2, 1, 2, 0])
    }

    @Test func theOrderOfTheRegistersDoesNotMatter() {
        let nodes = (0..<5).map { register($0, zone: $0 < 2 ? "a" : "b") }
        let straight = ShardPlacement.nodes(for: 9, among: nodes, maps: [])
        #expect(straight == ShardPlacement.nodes(for: 9, among: nodes.reversed(), maps: []))
    }
}
