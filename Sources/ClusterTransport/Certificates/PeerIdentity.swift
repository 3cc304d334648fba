package import FaceModel

/// What a process is in its cluster, and so what its peers let it ask.
package enum PeerRole: String, Hashable, Sendable, CaseIterable {
    case coordinator
    case shardNode = "shard-node"
    case etcd
    case `operator`
}

/// Who a certificate says its holder is: the URI `facet://cluster/role/name` among its subject alternative names.
package struct PeerIdentity: Hashable, Sendable, CustomStringConvertible {
    static let scheme = "facet://"

    /// 1-63 characters of `a-z 0-9 -`, as every process' configuration has it.
    package let cluster: String
    package let role: PeerRole
    /// The process' own entry in the configuration; of a shard node, its id.
    package let name: NodeID

    /// Nil for a cluster's name that is none.
    package init?(cluster: String, role: PeerRole, name: NodeID) {
        guard NodeID(cluster) != nil else { return nil }
        self.cluster = cluster
        self.role = role
        self.name = name
    }

    /// Only the exact form of `uri`.
    package init?(uri: String) {
        guard uri.hasPrefix(Self.scheme) else { return nil }
        let parts = uri.dropFirst(Self.scheme.count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, let role = PeerRole(rawValue: String(parts[1])), let name = NodeID(String(parts[2]))
        else { return nil }
        self.init(cluster: String(parts[0]), role: role, name: name)
    }

    package var uri: String { "\(Self.scheme)\(cluster)/\(role.rawValue)/\(name)" }
    package var description: String { uri }
}
