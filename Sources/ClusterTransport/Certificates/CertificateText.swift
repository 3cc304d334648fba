import FaceModel
import Foundation
import Glibc
import SwiftASN1
import X509

/// Certificates and keys as PEM, and what certificates say.
enum CertificateText {
    /// The first certificate of the text.
    static func certificate(_ pem: String, subject: String) throws(TransportError) -> Certificate {
        guard let first = try certificates(pem, subject: subject).first else {
            throw .certificate(subject: subject, problem: "it holds no certificate")
        }
        return first
    }

    static func certificates(_ pem: String, subject: String) throws(TransportError) -> [Certificate] {
        do {
            return try PEMDocument.parseMultiple(pemString: pem).map { try Certificate(pemDocument: $0) }
        } catch {
            throw .certificate(subject: subject, problem: "it holds something that is not a PEM certificate (\(error))")
        }
    }

    static func key(_ pem: String, subject: String) throws(TransportError) -> Certificate.PrivateKey {
        do {
            return try Certificate.PrivateKey(pemEncoded: pem)
        } catch {
            // The error's own text could quote the key.
            throw .certificate(subject: subject, problem: "its key is not a PEM private key")
        }
    }

    static func uris(_ certificate: Certificate) -> [String] {
        names(certificate).compactMap { name in
            if case .uniformResourceIdentifier(let uri) = name { uri } else { nil }
        }
    }

    /// DNS names and IP addresses.
    static func hosts(_ certificate: Certificate) -> [String] {
        names(certificate).compactMap { name in
            switch name {
            case .dnsName(let host): host
            case .ipAddress(let bytes): HostName.text(address: Array(bytes.bytes))
            default: nil
            }
        }
    }

    /// Exactly one URI, and that one an identity.
    static func identity(_ certificate: Certificate, subject: String) throws(TransportError) -> PeerIdentity {
        let uris = uris(certificate)
        guard uris.count == 1, let identity = PeerIdentity(uri: uris[0]) else {
            throw .certificate(
                subject: subject,
                problem: "it names no process of a cluster (one URI facet://cluster/role/name is needed, it has "
                    + (uris.isEmpty ? "none" : uris.joined(separator: ", ")) + ")")
        }
        return identity
    }

    private static func names(_ certificate: Certificate) -> [GeneralName] {
        // A certificate whose names cannot be read has none: it is refused for that.
        guard let names = try? certificate.extensions.subjectAlternativeNames else { return [] }
        return Array(names)
    }
}

/// DNS names and IP addresses as certificates hold them.
enum HostName {
    static func generalName(_ host: String) -> GeneralName? {
        if let bytes = address(host) { return .ipAddress(ASN1OctetString(contentBytes: bytes[...])) }
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        let valid = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    NodeID(String(UnicodeScalar(byte)).lowercased()) != nil
                }
        }
        return valid && host.utf8.count <= 253 ? .dnsName(host) : nil
    }

    /// The 4 or 16 bytes of an IP address.
    static func address(_ host: String) -> [UInt8]? {
        var v4 = in_addr()
        if inet_pton(AF_INET, host, &v4) == 1 { return withUnsafeBytes(of: v4) { Array($0) } }
        var v6 = in6_addr()
        if inet_pton(AF_INET6, host, &v6) == 1 { return withUnsafeBytes(of: v6) { Array($0) } }
        return nil
    }

    static func text(address: [UInt8]) -> String? {
        guard address.count == 4 || address.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = address.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, address, &text, socklen_t(text.count)) != nil else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
