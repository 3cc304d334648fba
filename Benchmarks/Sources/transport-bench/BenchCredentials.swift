import ClusterTransport
import FaceModel
import Foundation

/// An authority and two processes' certificates, also as files for the HTTP side.
struct BenchCredentials {
    let coordinator: TLSIdentity

    static func make(in folder: URL) throws -> BenchCredentials {
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        let authority = try CertificateAuthority.make(cluster: "bench", validDays: 2, now: now)
        try write(authority.certificatePEM, folder, "ca.pem")
        for (role, name) in [(PeerRole.coordinator, "c1"), (.shardNode, "n1")] {
            guard let id = NodeID(name) else { preconditionFailure("\(name) is a node's name") }
            let issued = try authority.issue(role: role, name: id, hosts: ["127.0.0.1"], validDays: 1, now: now)
            try write(issued.certificatePEM, folder, "\(name).pem")
            try write(issued.keyPEM, folder, "\(name)-key.pem")
        }
        return BenchCredentials(coordinator: try TLSIdentity(files(folder, "c1"), now: now))
    }

    static func files(_ folder: URL, _ name: String) -> TLSFiles {
        TLSFiles(
            ca: folder.appending(path: "ca.pem").path(), certificate: folder.appending(path: "\(name).pem").path(),
            key: folder.appending(path: "\(name)-key.pem").path())
    }

    private static func write(_ text: String, _ folder: URL, _ name: String) throws {
        try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
    }
}
