package import ClusterModel
package import FaceModel

/// Why an embedded server's directory was not made a cluster's; nothing is lost by any of them.
package enum GrowthError: Error, Hashable, Sendable, CustomStringConvertible {
    case noServer(directory: String)
    case movedElsewhere(directory: String, cluster: String)
    /// The cluster has these collections, and the directory does not know that they went there.
    case olderCopy(directory: String, cluster: String)
    case divided(ShardID)
    case unreadable(path: String, reason: String)
    case inUse(cluster: String, path: String)
    case contested(path: String)
    case copy(reason: String)
    case incarnation(NodeIncarnationError)
    case controlPlane(ControlPlaneError)

    package var description: String {
        switch self {
        case .noServer(let directory): "no embedded server ever ran on \(directory): there is nothing to take over"
        case .movedElsewhere(let directory, let cluster):
            "what was in \(directory) belongs to the cluster '\(cluster)' since it was taken over there"
        case .olderCopy(let directory, let cluster):
            """
            the cluster '\(cluster)' has taken over this server already, and \(directory) does not know of it: it is an \
            older copy, whose faces would be those of another day. Nothing was changed
            """
        case .divided(let shard):
            """
            shard \(shard) is being split: start the server, let 'facectl shard split' end or give it up with --abort, \
            stop the server, and give this command again
            """
        case .unreadable(let path, let reason): "the register \(path) of the server cannot be read: \(reason)"
        case .inUse(let cluster, let path):
            """
            the cluster '\(cluster)' is not new: its etcd has the register \(path). An embedded server can only become the \
            first node of a cluster on which no node has started yet: give the cluster another name, or, where \
            nothing in it is of use, stop its nodes and remove what is below facet/\(cluster)/ in etcd
            """
        case .contested(let path):
            """
            somebody else changed the register \(path) meanwhile. No node may run before this is done: stop them, remove \
            what they wrote below their cluster's prefix in etcd, and give the same command again
            """
        case .copy(let reason): "a copy's own memory cannot be changed: \(reason)"
        case .incarnation(let error): error.description
        case .controlPlane(.unavailable(let reason, _)): "the registers cannot be used: \(reason)"
        case .controlPlane(.unreadable(let path, let reason)): "the register \(path) cannot be read: \(reason)"
        }
    }
}
