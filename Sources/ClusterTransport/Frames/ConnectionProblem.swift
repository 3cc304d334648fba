import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// Errors of sockets and TLS as operators read them.
enum ConnectionProblem {
    static func text(_ error: any Error, greeting: Bool) -> String {
        let text = "\(error)"
        if greeting, text.contains("ALERT") {
            return "the peer refused our certificate; its own log says why"
        }
        switch error {
        case let error as IOError: return String(cString: strerror(error.errnoCode)).lowercased()
        case let error as NIOConnectionError: return connection(error)
        case NIOSSLError.uncleanShutdown: return "the connection was lost"
        case is NIOSSLError, is BoringSSLError: return "TLS failed: \(text)"
        case ChannelError.connectTimeout: return "no answer to the attempt to connect"
        default: return text
        }
    }

    private static func connection(_ error: NIOConnectionError) -> String {
        if let first = error.connectionErrors.first { return Self.text(first.error, greeting: false) }
        if error.dnsAError != nil || error.dnsAAAAError != nil { return "the host name \(error.host) is not known" }
        return "\(error)"
    }
}
