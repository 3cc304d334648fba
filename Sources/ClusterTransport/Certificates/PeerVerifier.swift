import FaceModel
import Foundation
import NIOCore
import NIOSSL
import Synchronization
import X509

/// Why a peer is not who it must be. `label` is the metric's value.
enum PeerRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case noCertificate
    case unreadableCertificate
    case otherAuthority(issuer: String)
    case expired(since: String)
    case notYetValid(until: String)
    case invalidChain(reason: String)
    case noIdentity(reason: String)
    case otherCluster(PeerIdentity, expected: String)
    case otherRole(PeerIdentity, expected: [PeerRole])
    case otherName(PeerIdentity, expected: NodeID)

    var label: String {
        switch self {
        case .noCertificate, .unreadableCertificate, .invalidChain: "certificate"
        case .otherAuthority: "authority"
        case .expired, .notYetValid: "expired"
        case .noIdentity: "identity"
        case .otherCluster: "cluster"
        case .otherRole: "role"
        case .otherName: "name"
        }
    }

    var description: String {
        switch self {
        case .noCertificate: "the peer showed no certificate"
        case .unreadableCertificate: "the peer's certificate cannot be read"
        case .otherAuthority(let issuer): "the peer's certificate is from another authority (\(issuer))"
        case .expired(let since): "the peer's certificate expired on \(since): renew it"
        case .notYetValid(let until): "the peer's certificate is valid only from \(until): check the clocks"
        case .invalidChain(let reason): "the peer's certificate is not valid: \(reason)"
        case .noIdentity(let reason): "the peer's certificate is no process': \(reason)"
        case .otherCluster(let peer, let expected): "the peer is \(peer), of another cluster than \(expected)"
        case .otherRole(let peer, let expected):
            "the peer is \(peer); only \(expected.map(\.rawValue).joined(separator: " or ")) is let in here"
        case .otherName(let peer, let expected): "the peer is \(peer), not \(expected)"
        }
    }
}

/// Decides from a peer's certificates who it is: a chain to our authorities, valid now, of our cluster.
struct PeerVerifier: Sendable {
    /// Whom this end expects.
    enum Expectation: Hashable, Sendable {
        case node(NodeID)
        case roles([PeerRole])
    }

    private let authorities: [Certificate]
    private let cluster: String
    private let expectation: Expectation

    init(_ own: TLSIdentity, expecting expectation: Expectation) {
        authorities = own.authorities
        cluster = own.identity.cluster
        self.expectation = expectation
    }

    func verify(chain: [Certificate], now: Date) async throws(PeerRefusal) -> PeerIdentity {
        guard let leaf = chain.first else { throw .noCertificate }
        guard now < leaf.notValidAfter else { throw .expired(since: leaf.notValidAfter.ISO8601Format()) }
        guard leaf.notValidBefore <= now else { throw .notYetValid(until: leaf.notValidBefore.ISO8601Format()) }
        var verifier = Verifier(rootCertificates: CertificateStore(authorities)) {
            RFC5280Policy()
        }
        let result = await verifier.validate(leaf: leaf, intermediates: CertificateStore(chain.dropFirst()))
        if case .couldNotValidate(let failures) = result {
            let reasons = failures.map { "\($0.policyFailureReason)" }
            throw reasons.isEmpty
                ? .otherAuthority(issuer: "\(leaf.issuer)") : .invalidChain(reason: reasons.joined(separator: "; "))
        }
        let peer: PeerIdentity
        do {
            peer = try CertificateText.identity(leaf, subject: "certificate")
        } catch {
            throw .noIdentity(reason: "\(error)")
        }
        return try expected(peer)
    }

    private func expected(_ peer: PeerIdentity) throws(PeerRefusal) -> PeerIdentity {
        guard peer.cluster == cluster else { throw .otherCluster(peer, expected: cluster) }
        switch expectation {
        case .node(let name):
            guard peer.role == .shardNode else { throw .otherRole(peer, expected: [.shardNode]) }
            guard peer.name == name else { throw .otherName(peer, expected: name) }
        case .roles(let roles):
            guard roles.contains(peer.role) else { throw .otherRole(peer, expected: roles) }
        }
        return peer
    }
}

/// What one handshake found out about the peer; written by the verification, read by the connection.
final class PeerRecord: Sendable {
    private let outcome = Mutex<Result<PeerIdentity, PeerRefusal>?>(nil)

    /// Nil before the verification; a resumed session never has one, and is refused for it.
    var result: Result<PeerIdentity, PeerRefusal>? { outcome.withLock { $0 } }

    /// The verification in NIOSSL's form. Checking signatures takes a fraction of a millisecond, off the event loop.
    func callback(_ verifier: PeerVerifier) -> NIOSSLCustomVerificationCallback {
        { [self] presented, promise in
            let chain = presented.map { certificate in
                Result { try Certificate(derEncoded: try certificate.toDERBytes()) }
            }
            Task {
                let result = await Self.verify(chain, verifier)
                outcome.withLock { $0 = result }
                switch result {
                case .success: promise.succeed(.certificateVerified)
                case .failure: promise.succeed(.failed)
                }
            }
        }
    }

    private static func verify(
        _ chain: [Result<Certificate, any Error>], _ verifier: PeerVerifier
    ) async -> Result<PeerIdentity, PeerRefusal> {
        var certificates: [Certificate] = []
        for certificate in chain {
            guard case .success(let readable) = certificate else { return .failure(.unreadableCertificate) }
            certificates.append(readable)
        }
        do throws(PeerRefusal) {
            return .success(try await verifier.verify(chain: certificates, now: Date()))
        } catch {
            return .failure(error)
        }
    }
}
