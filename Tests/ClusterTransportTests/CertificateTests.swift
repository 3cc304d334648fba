import FaceModel
import Foundation
import Testing
import X509

@testable import ClusterTransport

@Suite struct CertificateTests {
    private let hosts = ["10.1.2.3", "2001:db8::1", "node-1.lab.example", "localhost"]

    private func name(_ text: String) throws -> NodeID { try #require(NodeID(text)) }

    @Test func identitiesAreReadOnlyInTheirExactForm() throws {
        let identity = try #require(PeerIdentity(cluster: "lab", role: .shardNode, name: try name("n1")))
        #expect(identity.uri == "facet://lab/shard-node/n1")
        #expect(PeerIdentity(uri: identity.uri) == identity)
        for bad in [
            "facet://lab/shard-node/n1/", "facet://lab/shard-node/", "facet://lab/node/n1", "facet:///shard-node/n1",
            "https://lab/shard-node/n1", "facet://Lab/shard-node/n1", "facet://lab/shard-node/n 1", "facet://lab", "",
        ] {
            #expect(PeerIdentity(uri: bad) == nil, "\(bad)")
        }
    }

    @Test func anAuthorityIssuesWhatItReadsBack() throws {
        let now = Timestamp.current
        let made = try CertificateAuthority.make(cluster: "lab", validDays: 10, now: now)
        let authority = try CertificateAuthority(certificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
        #expect(authority.cluster == "lab" && authority.notAfter == made.notAfter)
        let issued = try authority.issue(
            role: .etcd, name: try name("e1"), hosts: hosts, validDays: 5, now: now)
        let certificate = try CertificateText.certificate(issued.certificatePEM, subject: "test")
        #expect(try CertificateText.identity(certificate, subject: "test") == issued.identity)
        #expect(CertificateText.hosts(certificate) == hosts)
        let usages = try #require(try certificate.extensions.extendedKeyUsage)
        #expect(usages.contains(.serverAuth) && usages.contains(.clientAuth))
        #expect(!"\(issued) \(authority)".contains("PRIVATE"))
    }

    @Test func aRenewedCertificateKeepsIdentityAndHostsButNotItsKey() throws {
        let authority = try CertificateAuthority.make(cluster: "lab", validDays: 10, now: .current)
        let longAgo = Timestamp(milliseconds: Timestamp.current.milliseconds - 9 * 86_400_000)
        let old = try authority.issue(
            role: .shardNode, name: try name("n1"), hosts: hosts, validDays: 1, now: longAgo)
        let renewed = try authority.renew(certificatePEM: old.certificatePEM, validDays: 5, now: .current)
        #expect(renewed.identity == old.identity && renewed.hosts == hosts)
        #expect(renewed.keyPEM != old.keyPEM && renewed.notAfter > old.notAfter)
        let other = try CertificateAuthority.make(cluster: "lab", validDays: 10, now: .current)
        #expect(throws: TransportError.self) {
            try other.renew(certificatePEM: old.certificatePEM, validDays: 5, now: .current)
        }
    }

    @Test func nothingOutlivesItsAuthority() throws {
        let authority = try CertificateAuthority.make(cluster: "lab", validDays: 2, now: .current)
        let issued = try authority.issue(
            role: .operator, name: try name("ann"), hosts: [], validDays: 500, now: .current)
        #expect(issued.notAfter == authority.notAfter)
        let later = Timestamp(milliseconds: Timestamp.current.milliseconds + 3 * 86_400_000)
        #expect(throws: TransportError.self) {
            try authority.issue(role: .operator, name: try name("ann"), hosts: [], validDays: 1, now: later)
        }
    }

    @Test func badRequestsAreRefusedByName() throws {
        let authority = try CertificateAuthority.make(cluster: "lab", validDays: 2, now: .current)
        for host in ["", "a b", "-a.example", "a..b", "1.2.3.4/8", String(repeating: "a", count: 64)] {
            let error = #expect(throws: TransportError.self) {
                try authority.issue(role: .etcd, name: try name("e1"), hosts: [host], validDays: 1, now: .current)
            }
            #expect(error?.description.contains("'\(host)'") == true)
        }
        for days in [0, -1, 40_000] {
            #expect(throws: TransportError.self) {
                try authority.issue(role: .etcd, name: try name("e1"), hosts: [], validDays: days, now: .current)
            }
        }
        #expect(throws: TransportError.self) {
            try CertificateAuthority.make(cluster: "Not a name", validDays: 1, now: .current)
        }
    }

    @Test func anIdentityOfMismatchedPartsIsRefused() throws {
        let now = Timestamp.current
        let authority = try CertificateAuthority.make(cluster: "lab", validDays: 10, now: now)
        let other = try CertificateAuthority.make(cluster: "lab", validDays: 10, now: now)
        let a = try authority.issue(role: .coordinator, name: try name("a"), hosts: [], validDays: 1, now: now)
        let b = try authority.issue(role: .coordinator, name: try name("b"), hosts: [], validDays: 1, now: now)
        func identity(_ ca: String, _ certificate: String, _ key: String, _ now: Timestamp) throws -> TLSIdentity {
            try TLSIdentity(authorityPEM: ca, certificatePEM: certificate, keyPEM: key, now: now)
        }
        #expect(try identity(authority.certificatePEM, a.certificatePEM, a.keyPEM, now).identity == a.identity)
        let later = Timestamp(milliseconds: now.milliseconds + 2 * 86_400_000)
        let bad: [(String, () throws -> TLSIdentity)] = [
            ("not the key", { try identity(authority.certificatePEM, a.certificatePEM, b.keyPEM, now) }),
            ("no authority", { try identity(other.certificatePEM, a.certificatePEM, a.keyPEM, now) }),
            ("renew it", { try identity(authority.certificatePEM, a.certificatePEM, a.keyPEM, later) }),
            ("no process", { try identity(authority.certificatePEM, authority.certificatePEM, authority.keyPEM, now) }),
            ("not a PEM private key", { try identity(authority.certificatePEM, a.certificatePEM, "x", now) }),
            ("no certificate", { try identity("", a.certificatePEM, a.keyPEM, now) }),
        ]
        for (problem, make) in bad {
            let error = #expect(throws: TransportError.self) { try make() }
            #expect(error?.description.contains(problem) == true, "\(problem): \(String(describing: error))")
        }
    }

    @Test func aMissingFileIsNamed() throws {
        let files = TLSFiles(ca: "/nowhere/ca.pem", certificate: "/nowhere/n1.pem", key: "/nowhere/n1-key.pem")
        let error = #expect(throws: TransportError.self) { try TLSIdentity(files, now: .current) }
        #expect(error?.description.contains("/nowhere/ca.pem") == true)
    }

    @Test func garbageIsNoCertificate() throws {
        let issued = try CertificateAuthority.make(cluster: "lab", validDays: 10, now: .current)
        var generator = SeededGenerator(seed: 11)
        let pem = Array(issued.certificatePEM.utf8)
        for _ in 0..<200 {
            var bytes = pem
            for _ in 0..<3 {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 32...126, using: &generator)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            // Any outcome but a trap; one that is read is another certificate than the one issued.
            if let read = try? CertificateAuthority(certificatePEM: text, keyPEM: issued.keyPEM) {
                #expect(read.cluster.count <= 63)
            }
        }
    }
}
