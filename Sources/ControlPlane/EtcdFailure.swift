import AsyncHTTPClient
import ClusterModel
import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// Why etcd gave no answer that can be used.
struct EtcdFailure: Error {
    enum Kind: Sendable {
        /// No contact, or nonsense: another endpoint may do better.
        case endpoint
        /// etcd understood and refused; another endpoint would too.
        case refused
        /// The revision asked for is gone.
        case compacted
        /// The lease named is not known any more; nothing was done.
        case leaseEnded
    }
    var kind: Kind
    var reason: String
    /// False when etcd certainly did nothing.
    var maybeDone: Bool

    var ofTransaction: ControlPlaneError { .unavailable(reason: "etcd: \(reason)", outcomeUnknown: maybeDone) }

    /// A read has no outcome to be unknown.
    var ofRead: ControlPlaneError { .unavailable(reason: "etcd: \(reason)", outcomeUnknown: false) }

    static func nonsense(_ reason: String) -> EtcdFailure {
        EtcdFailure(kind: .endpoint, reason: "answers what etcd does not (\(reason))", maybeDone: true)
    }

    static func tooLong(_ bytesMax: Int) -> EtcdFailure {
        EtcdFailure(kind: .refused, reason: "answers with more than \(bytesMax) bytes", maybeDone: true)
    }

    static let timedOut = EtcdFailure(kind: .endpoint, reason: "no answer in time", maybeDone: true)

    /// What the HTTP client threw.
    init(_ error: any Error) {
        if let failure = error as? EtcdFailure {
            self = failure
            return
        }
        self.init(kind: .endpoint, reason: Self.text(error), maybeDone: !Self.neverSent(error))
    }

    init(kind: Kind, reason: String, maybeDone: Bool) {
        self.kind = kind
        self.reason = reason
        self.maybeDone = maybeDone
    }

    /// The same, when an attempt before it may have been done.
    func after(unsure: Bool) -> EtcdFailure {
        EtcdFailure(kind: kind, reason: reason, maybeDone: maybeDone || unsure)
    }

    /// A refusal in etcd's own words. Codes are gRPC's: invalid argument, permission denied, resource exhausted,
    /// failed precondition, out of range and unauthenticated come before anything is done.
    init(_ refusal: EtcdRefusal) {
        let code = refusal.code ?? refusal.grpcCode ?? 2
        let done = ![3, 7, 8, 9, 11, 16].contains(code)
        if code == 5, refusal.message.contains("lease not found") {
            self.init(kind: .leaseEnded, reason: "the lease has ended", maybeDone: false)
            return
        }
        let compacted = code == 11 && refusal.message.contains("compacted")
        self.init(
            kind: compacted ? .compacted : done ? .endpoint : .refused, reason: String(refusal.message.prefix(200)),
            maybeDone: done)
    }

    /// Whether it failed before the request could leave: making the connection, or the handshake.
    private static func neverSent(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError, is NIOSSLExtraError, NIOSSLError.handshakeFailed: return true
        case let error as IOError: return [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode)
        case let error as HTTPClientError:
            return [.connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout].contains(error)
        default: return false
        }
    }

    private static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { text($0.error) } ?? "\(error.host) cannot be resolved"
        case let error as IOError: String(cString: strerror(error.errnoCode)).lowercased()
        case let error as HTTPClientError where error == .remoteConnectionClosed: "the connection was closed"
        case let error as HTTPClientError where error == .connectTimeout: "no connection in time"
        default: String(String(describing: error).prefix(200))
        }
    }
}
