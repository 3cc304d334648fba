import Crypto
package import FaceModel
import Foundation
import SwiftASN1
import X509

/// A certificate and its private key as text; the key is secret.
package struct IssuedCertificate: Hashable, Sendable, CustomStringConvertible {
    package let identity: PeerIdentity
    /// DNS names and IP addresses it is valid for, in the order they were given.
    package let hosts: [String]
    package let notAfter: Timestamp
    package let certificatePEM: String
    package let keyPEM: String
    package var description: String { "IssuedCertificate(\(identity))" }
}

/// The authority of one cluster: makes certificates for its processes, etcd's among them. ECDSA on P-256.
package struct CertificateAuthority: Sendable, CustomStringConvertible {
    /// Certificates are valid from this long before they are made, because clocks differ.
    private static let backdateSeconds = 300.0
    private static let daySeconds = 86_400.0

    package let cluster: String
    /// Of the authority itself; nothing it issues is valid for longer.
    package let notAfter: Timestamp
    package let certificatePEM: String
    /// Secret: who has it can be any process of the cluster.
    package let keyPEM: String

    private let certificate: Certificate
    private let key: Certificate.PrivateKey

    package var description: String { "CertificateAuthority(\(cluster))" }

    /// A new authority with a key of its own.
    package static func make(
        cluster: String, validDays: Int, now: Timestamp
    ) throws(TransportError) -> CertificateAuthority {
        let subject = "authority of cluster \(cluster)"
        guard NodeID(cluster) != nil else {
            throw .certificate(subject: subject, problem: "a cluster's name has 1-63 characters of a-z, 0-9 and -")
        }
        let validity = try Validity(from: now, days: validDays, until: nil, subject: subject)
        let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        do {
            let name = try DistinguishedName {
                OrganizationName("Facet")
                CommonName("Facet authority of \(cluster)")
            }
            let extensions = try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                SubjectKeyIdentifier(hash: key.publicKey)
                SubjectAlternativeNames([.uniformResourceIdentifier(PeerIdentity.scheme + cluster)])
            }
            let certificate = try Certificate(
                version: .v3, serialNumber: .init(), publicKey: key.publicKey, notValidBefore: validity.from,
                notValidAfter: validity.until, issuer: name, subject: name, extensions: extensions,
                issuerPrivateKey: key)
            return try CertificateAuthority(certificate: certificate, key: key, cluster: cluster)
        } catch {
            throw .certificate(subject: subject, problem: "\(error)")
        }
    }

    /// Reads an authority that `make` made.
    package init(certificatePEM: String, keyPEM: String) throws(TransportError) {
        let subject = "the authority"
        let certificate = try CertificateText.certificate(certificatePEM, subject: subject)
        let key = try CertificateText.key(keyPEM, subject: subject)
        guard certificate.publicKey == key.publicKey else {
            throw .certificate(subject: subject, problem: "its key is another certificate's")
        }
        let uris = CertificateText.uris(certificate)
        guard uris.count == 1, uris[0].hasPrefix(PeerIdentity.scheme),
            NodeID(String(uris[0].dropFirst(PeerIdentity.scheme.count))) != nil
        else {
            throw .certificate(subject: subject, problem: "it does not name a cluster: not an authority of Facet")
        }
        do {
            try self.init(
                certificate: certificate, key: key, cluster: String(uris[0].dropFirst(PeerIdentity.scheme.count)))
        } catch {
            throw .certificate(subject: subject, problem: "\(error)")
        }
    }

    private init(certificate: Certificate, key: Certificate.PrivateKey, cluster: String) throws {
        self.certificate = certificate
        self.key = key
        self.cluster = cluster
        notAfter = certificate.notValidAfter.timestamp
        certificatePEM = try certificate.serializeAsPEM().pemString + "\n"
        keyPEM = try key.serializeAsPEM().pemString + "\n"
    }

    /// A certificate with a key of its own for `facet://cluster/role/name`, for both ends of a connection. `hosts` are
    /// DNS names and IP addresses.
    package func issue(
        role: PeerRole, name: NodeID, hosts: [String], validDays: Int, now: Timestamp
    ) throws(TransportError) -> IssuedCertificate {
        guard let identity = PeerIdentity(cluster: cluster, role: role, name: name) else {
            preconditionFailure("an authority's cluster has a name")
        }
        let subject = identity.uri
        var names: [GeneralName] = [.uniformResourceIdentifier(identity.uri)]
        for host in hosts {
            guard let host = HostName.generalName(host) else {
                throw .certificate(subject: subject, problem: "'\(host)' is neither a DNS name nor an IP address")
            }
            names.append(host)
        }
        let validity = try Validity(from: now, days: validDays, until: certificate.notValidAfter, subject: subject)
        let leafKey = Certificate.PrivateKey(P256.Signing.PrivateKey())
        do {
            let leaf = try leaf(identity, names: names, validity: validity, key: leafKey)
            return IssuedCertificate(
                identity: identity, hosts: hosts, notAfter: leaf.notValidAfter.timestamp,
                certificatePEM: try leaf.serializeAsPEM().pemString + "\n",
                keyPEM: try leafKey.serializeAsPEM().pemString + "\n")
        } catch {
            throw .certificate(subject: subject, problem: "\(error)")
        }
    }

    /// A new certificate and key for the identity and hosts of one that this authority issued, expired or not.
    package func renew(
        certificatePEM: String, validDays: Int, now: Timestamp
    ) throws(TransportError) -> IssuedCertificate {
        let subject = "the certificate to renew"
        let old = try CertificateText.certificate(certificatePEM, subject: subject)
        guard certificate.publicKey.isValidSignature(old.signature, for: old) else {
            throw .certificate(subject: subject, problem: "another authority issued it")
        }
        let identity = try CertificateText.identity(old, subject: subject)
        return try issue(
            role: identity.role, name: identity.name, hosts: CertificateText.hosts(old), validDays: validDays, now: now)
    }

    private func leaf(
        _ identity: PeerIdentity, names: [GeneralName], validity: Validity, key leafKey: Certificate.PrivateKey
    ) throws -> Certificate {
        let name = try DistinguishedName {
            OrganizationName("Facet")
            OrganizationalUnitName(identity.role.rawValue)
            CommonName(identity.name.text)
        }
        let authority = try certificate.extensions.subjectKeyIdentifier
        let extensions = try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            try ExtendedKeyUsage([.serverAuth, .clientAuth])
            SubjectKeyIdentifier(hash: leafKey.publicKey)
            AuthorityKeyIdentifier(keyIdentifier: authority?.keyIdentifier)
            SubjectAlternativeNames(names)
        }
        return try Certificate(
            version: .v3, serialNumber: .init(), publicKey: leafKey.publicKey, notValidBefore: validity.from,
            notValidAfter: validity.until, issuer: certificate.subject, subject: name, extensions: extensions,
            issuerPrivateKey: key)
    }

    private struct Validity {
        let from: Date
        let until: Date

        init(from now: Timestamp, days: Int, until limit: Date?, subject: String) throws(TransportError) {
            guard (1...36_500).contains(days) else {
                throw .certificate(subject: subject, problem: "\(days) days; 1 to 36,500 are possible")
            }
            let now = Date(timeIntervalSince1970: Double(now.milliseconds / 1_000))
            from = now.addingTimeInterval(-backdateSeconds)
            let end = now.addingTimeInterval(Double(days) * daySeconds)
            until = limit.map { min($0, end) } ?? end
            guard until > now else {
                throw .certificate(
                    subject: subject,
                    problem: "the authority itself expired on \(until.ISO8601Format()): make a new one")
            }
        }
    }
}

extension Date {
    var timestamp: Timestamp { Timestamp(milliseconds: Int64((timeIntervalSince1970 * 1_000).rounded())) }
}
