import ClusterModel
import FaceModel

/// Which nodes get the copies of new shards: of one shard each another node, and another zone where there are enough;
/// then spread over zones, then the node with the fewest copies, then the smaller name. The same nodes and loads give
/// the same places.
struct ShardPlacement {
    private let nodes: [NodeRegister]
    /// Copies on each node, and how many of them are the first of their shard.
    private var copies: [NodeID: Int]
    private var firsts: [NodeID: Int]
    /// Copies of the new shards in each zone.
    private var zones: [String: Int] = [:]

    /// `copies` and `firsts`: of all shards there are.
    init(among nodes: [NodeRegister], copies: [NodeID: Int], firsts: [NodeID: Int]) {
        self.nodes = nodes.sorted { $0.node.text < $1.node.text }
        self.copies = copies
        self.firsts = firsts
    }

    /// Nodes for the copies of each of `count` shards, the primary-to-be first. There must be as many nodes as copies.
    mutating func places(for count: Int, copies: Int) -> [[NodeID]] {
        precondition(nodes.count >= copies, "each copy has a node of its own")
        return (0..<count).map { _ in place(copies) }
    }

    var count: Int { nodes.count }
    func has(_ node: NodeID) -> Bool { nodes.contains { $0.node == node } }

    /// Where a further copy goes, or one that leaves `old`, when the shard's others are on `others`; nil where there is no
    /// further node.
    func place(beside others: [NodeID], leaving old: NodeID?) -> NodeID? {
        let chosen = nodes.filter { others.contains($0.node) }
        let free = nodes.filter { $0.node != old && !others.contains($0.node) }
        return free.min { a, b in rank(a, beside: chosen) < rank(b, beside: chosen) }?.node
    }

    private mutating func place(_ count: Int) -> [NodeID] {
        var chosen: [NodeRegister] = []
        while chosen.count < count {
            let free = nodes.filter { node in !chosen.contains { $0.node == node.node } }
            let best = free.min { a, b in rank(a, beside: chosen) < rank(b, beside: chosen) }
            guard let best else { preconditionFailure("each copy has a node of its own") }
            chosen.append(best)
            zones[best.zone, default: 0] += 1
            copies[best.node, default: 0] += 1
        }
        let first = chosen.indices.min { firsts[chosen[$0].node, default: 0] < firsts[chosen[$1].node, default: 0] }
        if let first { chosen.swapAt(0, first) }
        firsts[chosen[0].node, default: 0] += 1
        return chosen.map(\.node)
    }

    /// The smaller, the better.
    private func rank(_ node: NodeRegister, beside chosen: [NodeRegister]) -> (Int, Int, Int) {
        (
            chosen.count { $0.zone == node.zone }, zones[node.zone, default: 0], copies[node.node, default: 0]
        )
    }
}
