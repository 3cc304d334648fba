import FaceModel
import Foundation
import NIOCore
import Testing

@testable import ClusterTransport
@testable import ClusterModel

/// An authority and the identities of processes, for one test.
struct TestCluster {
    static let lab = "lab"
    let authority: CertificateAuthority

    init(_ cluster: String = TestCluster.lab) throws {
        authority = try CertificateAuthority.make(cluster: cluster, validDays: 30, now: .current)
    }

    func identity(_ role: PeerRole, _ name: String) throws -> TLSIdentity {
        let issued = try authority.issue(
            role: role, name: try node(name), hosts: ["127.0.0.1", "localhost"], validDays: 3, now: .current)
        return try TLSIdentity(
            authorityPEM: authority.certificatePEM, certificatePEM: issued.certificatePEM, keyPEM: issued.keyPEM,
            now: .current)
    }

    func node(_ name: String) throws -> NodeID { try #require(NodeID(name)) }
}

extension Timestamp {
    static var current: Timestamp { Date().timestamp }
}

extension TransportSettings {
    /// Short pauses between attempts.
    static var quick: TransportSettings {
        var settings = TransportSettings()
        settings.connectTimeout = .seconds(30)
        settings.backoffMin = .milliseconds(5)
        settings.backoffMax = .milliseconds(20)
        return settings
    }

    /// Gives up on a silent peer soon: for peers that are silent on purpose.
    static var impatient: TransportSettings {
        var settings = TransportSettings.quick
        settings.silence = .milliseconds(50)
        return settings
    }
}

/// A seeded generator: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
