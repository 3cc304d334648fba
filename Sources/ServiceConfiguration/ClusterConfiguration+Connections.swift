package import ClusterTransport
package import ControlPlane
package import FaceModel

extension ClusterConfiguration {
    /// The files by which a process proves its name to the others.
    package func tlsFiles(of name: NodeID) -> TLSFiles {
        TLSFiles(
            ca: "\(tlsDirectory)/ca.pem", certificate: "\(tlsDirectory)/\(name).pem",
            key: "\(tlsDirectory)/\(name)-key.pem")
    }

    /// How the process `name` reaches etcd. Certificates are shown where the endpoints are https.
    package func etcd(as name: NodeID) -> EtcdConfiguration {
        let shown = etcdCertificate ?? name.text
        let encrypted = etcdEndpoints.allSatisfy { $0.hasPrefix("https://") }
        return EtcdConfiguration(
            endpoints: etcdEndpoints, cluster: self.name,
            tls: encrypted
                ? .init(
                    authorities: "\(tlsDirectory)/ca.pem", certificate: "\(tlsDirectory)/\(shown).pem",
                    key: "\(tlsDirectory)/\(shown)-key.pem") : nil)
    }
}
