package import FaceModel

/// What a certificate of a cluster says, for people.
package struct CertificateSummary: Hashable, Sendable {
    package let identity: PeerIdentity
    package let hosts: [String]
    package let notAfter: Timestamp

    /// `subject` names the text in errors. Errors: no certificate, or one that names no process of a cluster.
    package init(pem: String, subject: String) throws(TransportError) {
        let certificate = try CertificateText.certificate(pem, subject: subject)
        identity = try CertificateText.identity(certificate, subject: subject)
        hosts = CertificateText.hosts(certificate)
        notAfter = certificate.notValidAfter.timestamp
    }
}
