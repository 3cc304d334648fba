package import ClusterModel

/// What stops the transport as a whole, at the start of a process or of a command about certificates.
package enum TransportError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A file of certificates or keys cannot be read. `path` as configured.
    case unreadable(path: String, reason: String)
    /// A certificate or key is not what it must be; `subject` is its path or its name.
    case certificate(subject: String, problem: String)
    /// The address cannot be listened at.
    case cannotListen(NodeAddress, reason: String)

    package var description: String {
        switch self {
        case .unreadable(let path, let reason): "\(path) cannot be read: \(reason)"
        case .certificate(let subject, let problem): "\(subject): \(problem)"
        case .cannotListen(let address, let reason): "cannot listen at \(address): \(reason)"
        }
    }
}
