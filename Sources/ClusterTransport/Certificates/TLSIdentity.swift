package import FaceModel
import Foundation
import NIOSSL
import X509

/// Paths of the PEM files a process proves itself with: the authorities it believes, its own chain, its own key.
package struct TLSFiles: Hashable, Sendable {
    package var ca: String
    package var certificate: String
    package var key: String
    package init(ca: String, certificate: String, key: String) {
        self.ca = ca
        self.certificate = certificate
        self.key = key
    }
}

/// A process' own certificate and key, and the authorities it believes: one for life of the process, for both ends of
/// connections. TLS 1.3 only; both ends prove themselves.
package struct TLSIdentity: Sendable, CustomStringConvertible {
    /// What its own certificate says it is.
    package let identity: PeerIdentity
    /// When its own certificate ends; renew it before.
    package let notAfter: Timestamp

    let authorities: [Certificate]
    let serverContext: NIOSSLContext
    let clientContext: NIOSSLContext

    package var description: String { "TLSIdentity(\(identity))" }

    /// Reads and checks the files: the key is the certificate's, an authority of the file signed it, it is valid now.
    package init(_ files: TLSFiles, now: Timestamp) throws(TransportError) {
        try self.init(
            authorityPEM: Self.text(files.ca), certificatePEM: Self.text(files.certificate),
            keyPEM: Self.text(files.key),
            names: files, now: now)
    }

    /// The same from texts.
    package init(
        authorityPEM: String, certificatePEM: String, keyPEM: String, now: Timestamp
    ) throws(TransportError) {
        try self.init(
            authorityPEM: authorityPEM, certificatePEM: certificatePEM, keyPEM: keyPEM,
            names: TLSFiles(ca: "the authority", certificate: "the certificate", key: "the key"), now: now)
    }

    private init(
        authorityPEM: String, certificatePEM: String, keyPEM: String, names: TLSFiles, now: Timestamp
    ) throws(TransportError) {
        authorities = try CertificateText.certificates(authorityPEM, subject: names.ca)
        guard !authorities.isEmpty else { throw .certificate(subject: names.ca, problem: "it holds no certificate") }
        let chain = try CertificateText.certificates(certificatePEM, subject: names.certificate)
        guard let own = chain.first else {
            throw .certificate(subject: names.certificate, problem: "it holds no certificate")
        }
        identity = try CertificateText.identity(own, subject: names.certificate)
        notAfter = own.notValidAfter.timestamp
        let key = try CertificateText.key(keyPEM, subject: names.key)
        guard own.publicKey == key.publicKey else {
            throw .certificate(subject: names.key, problem: "it is not the key of \(names.certificate)")
        }
        let issuers = authorities + chain.dropFirst()
        guard issuers.contains(where: { $0.publicKey.isValidSignature(own.signature, for: own) }) else {
            throw .certificate(subject: names.certificate, problem: "no authority of \(names.ca) issued it")
        }
        guard own.notValidBefore.timestamp <= now, now < own.notValidAfter.timestamp else {
            let validity = "\(own.notValidBefore.ISO8601Format()) to \(own.notValidAfter.ISO8601Format())"
            throw .certificate(
                subject: names.certificate, problem: "it is valid from \(validity), not now: renew it, or set the clock"
            )
        }
        do {
            (serverContext, clientContext) = try Self.contexts(authorityPEM, certificatePEM, keyPEM)
        } catch {
            throw .certificate(subject: names.certificate, problem: "TLS does not take it: \(error)")
        }
    }

    private static func contexts(
        _ authorityPEM: String, _ certificatePEM: String, _ keyPEM: String
    ) throws -> (server: NIOSSLContext, client: NIOSSLContext) {
        let roots = try NIOSSLCertificate.fromPEMBytes(Array(authorityPEM.utf8))
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificatePEM.utf8)).map {
            NIOSSLCertificateSource.certificate($0)
        }
        let key = NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(bytes: Array(keyPEM.utf8), format: .pem))
        var server = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: chain, privateKey: key, trustRoots: .certificates(roots))
        server.minimumTLSVersion = .tlsv13
        var client = TLSConfiguration.makeClientConfiguration()
        client.minimumTLSVersion = .tlsv13
        client.certificateChain = chain
        client.privateKey = key
        client.trustRoots = .certificates(roots)
        return (try NIOSSLContext(configuration: server), try NIOSSLContext(configuration: client))
    }

    private static func text(_ path: String) throws(TransportError) -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw .unreadable(path: path, reason: error.localizedDescription)
        }
    }
}
