/// Why a server does not start, in words an operator can act on.
enum ServerError: Error, CustomStringConvertible {
    case cannotStart(String)
    case openToStrangers(host: String)
    case portInUse(host: String, port: Int)

    var description: String {
        switch self {
        case .cannotStart(let reason): reason
        case .openToStrangers(let host):
            "there is no access key yet, so the server listens on loopback only, not on \(host): make a key with "
                + "'facectl keys create --person NAME --role admin', or listen on 127.0.0.1"
        case .portInUse(let host, let port):
            "port \(port) on \(host) is in use: stop what listens there, or choose another with --port"
        }
    }
}
