import ClusterTransport
import FaceModel
import Foundation
import StorageIO

/// A directory of certificates: `ca.pem`, `ca-key.pem`, and `NAME.pem`, `NAME-key.pem` of each process.
struct CertificateFolder {
    /// A certificate that stands in the directory.
    struct Entry {
        var file: String
        var identity: PeerIdentity
        var hosts: [String]
        var notAfter: Timestamp
    }

    private static let fileBytesMax = 1 << 20
    private static let authority = "ca"
    private static let dayMilliseconds: Int64 = 86_400_000

    let path: String
    private let files = POSIXFileSystem()
    private let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))

    init(path: String) { self.path = path }

    /// Refuses where there is one: everything it issued would be worth nothing.
    func makeAuthority(cluster: String, days: Int) throws -> CertificateAuthority {
        try said { try files.createDirectory(path) }
        guard try !exists(Self.authority) else {
            throw Failure(text: "\(path) has an authority already; a new one would end every certificate it issued")
        }
        let authority = try said { try CertificateAuthority.make(cluster: cluster, validDays: days, now: now) }
        try write(authority.certificatePEM, authority.keyPEM, as: Self.authority)
        return authority
    }

    func issue(role: PeerRole, name: NodeID, hosts: [String], days: Int) throws -> IssuedCertificate {
        guard name.text != Self.authority else { throw Failure(text: "the name 'ca' is the authority's") }
        guard try !exists(name.text) else {
            throw Failure(
                text: "\(path)/\(name).pem is there already; 'facectl certs renew' replaces it, or remove it first")
        }
        let authority = try authority()
        let issued = try said {
            try authority.issue(role: role, name: name, hosts: hosts, validDays: days, now: now)
        }
        try write(issued.certificatePEM, issued.keyPEM, as: name.text)
        return issued
    }

    func renew(withinDays: Int, days: Int) throws -> [IssuedCertificate] {
        let authority = try authority()
        let limit = now.milliseconds + Int64(withinDays) * Self.dayMilliseconds
        return try certificates().filter { $0.notAfter.milliseconds <= limit }.map { entry in
            let old = try text(of: entry.file)
            let issued = try said { try authority.renew(certificatePEM: old, validDays: days, now: now) }
            try write(issued.certificatePEM, issued.keyPEM, as: issued.identity.name.text)
            return issued
        }
    }

    /// Without the authority's own, by file name.
    func certificates() throws -> [Entry] {
        let names = try said { try files.list(path) }
        return try names.filter { $0.hasSuffix(".pem") && !$0.hasSuffix("-key.pem") && $0 != "\(Self.authority).pem" }
            .map { file in
                let pem = try text(of: file)
                let summary = try said { try CertificateSummary(pem: pem, subject: "\(path)/\(file)") }
                return Entry(file: file, identity: summary.identity, hosts: summary.hosts, notAfter: summary.notAfter)
            }
    }

    private func authority() throws -> CertificateAuthority {
        guard try exists(Self.authority) else {
            throw Failure(text: "\(path) has no authority; 'facectl certs init' makes one")
        }
        let (certificate, key) = try (text(of: "\(Self.authority).pem"), text(of: "\(Self.authority)-key.pem"))
        return try said { try CertificateAuthority(certificatePEM: certificate, keyPEM: key) }
    }

    private func exists(_ name: String) throws -> Bool {
        try said { try files.exists("\(path)/\(name).pem") }
    }

    private func text(of file: String) throws -> String {
        let bytes = try said { try AtomicFile.read("\(path)/\(file)", on: files, limit: Self.fileBytesMax) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The key first: a certificate without its key is no use to anyone, and `exists` looks at the certificate.
    private func write(_ certificate: String, _ key: String, as name: String) throws {
        try said {
            try AtomicFile.write(Array(key.utf8), to: "\(path)/\(name)-key.pem", on: files)
            try AtomicFile.write(Array(certificate.utf8), to: "\(path)/\(name).pem", on: files)
        }
        // Files are made for their owner alone; certificates are for everyone.
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: "\(path)/\(name).pem")
    }

    private func said<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch { throw Failure(text: "\(error)") }
    }
}
