import AsyncHTTPClient
import ClusterModel
import NIOCore
import NIOSSL

/// How to reach an etcd cluster, and how patient to be with it.
package struct EtcdConfiguration: Sendable {
    /// PEM files; read once, when the control plane is made.
    package struct TLSFiles: Hashable, Sendable {
        /// Certificates that etcd's own must chain to.
        package var authorities: String
        /// What this process shows to etcd, and its private key.
        package var certificate: String
        package var key: String
        package init(authorities: String, certificate: String, key: String) {
            self.authorities = authorities
            self.certificate = certificate
            self.key = key
        }
    }

    /// `http://host:port` or `https://host:port`, asked in this order.
    package var endpoints: [String]
    /// The cluster's name: registers lie below `facet/<cluster>/`.
    package var cluster: String
    package var tls: TLSFiles?
    /// One endpoint's time to answer, and that of all of them together.
    package var attemptTimeout = Duration.seconds(2)
    package var requestTimeout = Duration.seconds(5)
    /// Between two rounds over the endpoints.
    var roundPause = Duration.milliseconds(100)
    /// How often a watch is compared with the store; a silent one is given up after two to three of these.
    package var checkInterval = Duration.seconds(1)
    /// An endpoint that failed is passed over for this long, doubling up to the maximum.
    package var avoidance = Duration.seconds(2)
    package var avoidanceMax = Duration.seconds(30)
    /// The longest answer, or line of a watch, that is read.
    package var answerBytesMax = 64 << 20
    /// Registers asked for at a time.
    package var pageSize = 256

    package init(endpoints: [String], cluster: String, tls: TLSFiles? = nil) {
        self.endpoints = endpoints
        self.cluster = cluster
        self.tls = tls
    }

    func check() throws(ControlPlaneError) {
        guard !endpoints.isEmpty else { throw Self.unusable("etcd: no endpoint is configured") }
        guard !cluster.isEmpty, cluster.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") }) else {
            throw Self.unusable("etcd: '\(cluster)' is no name for a cluster")
        }
        for endpoint in endpoints {
            guard endpoint.hasPrefix("https://") || endpoint.hasPrefix("http://"), !endpoint.hasSuffix("/") else {
                throw Self.unusable("etcd: '\(endpoint)' is not http://host:port or https://host:port")
            }
            guard tls == nil || endpoint.hasPrefix("https://") else {
                throw Self.unusable("etcd: certificates are configured, but '\(endpoint)' is not https://")
            }
        }
    }

    /// Errors: a file that cannot be read or is no certificate or key.
    func makeClient() throws(ControlPlaneError) -> HTTPClient {
        var client = HTTPClient.Configuration()
        client.timeout.connect = .nanoseconds(attemptTimeout.nanoseconds)
        client.connectionPool.retryConnectionEstablishment = false
        client.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        client.httpVersion = .http1Only
        client.redirectConfiguration = .disallow
        if let tls { client.tlsConfiguration = try tls.configuration() }
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: client)
    }

    fileprivate static func unusable(_ reason: String) -> ControlPlaneError {
        .unavailable(reason: reason, outcomeUnknown: false)
    }
}

extension EtcdConfiguration.TLSFiles {
    fileprivate func configuration() throws(ControlPlaneError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        let roots = try read(authorities) { try NIOSSLCertificate.fromPEMFile(authorities) }
        guard !roots.isEmpty else { throw EtcdConfiguration.unusable("etcd: \(authorities) holds no certificate") }
        configuration.trustRoots = .certificates(roots)
        configuration.certificateChain = try read(certificate) {
            try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) }
        }
        configuration.privateKey = .privateKey(try read(key) { try NIOSSLPrivateKey(file: key, format: .pem) })
        return configuration
    }

    private func read<Value>(_ path: String, _ body: () throws -> Value) throws(ControlPlaneError) -> Value {
        do { return try body() } catch {
            throw EtcdConfiguration.unusable("etcd: \(path) cannot be read as PEM (\(error))")
        }
    }
}

extension Duration {
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
