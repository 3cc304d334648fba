package import FaceModel

/// Why a request is not let in. `awsCode` and `message` are what the client is told.
package enum AuthError: Error, Hashable, Sendable {
    /// No Authorization header.
    case missingToken
    /// An Authorization header that cannot be read or leaves something unsigned; `detail` says what.
    case incompleteSignature(detail: String)
    /// No such access key, or a revoked one: a stranger learns not which.
    case unrecognizedClient
    /// The signature is not that of this request and secret.
    case invalidSignature
    /// The body is not the one whose hash was signed, or was not hashed at all.
    case bodyHash(detail: String)
    /// The request's clock and ours differ by more than `Limits.clockSkewSecondsMax`.
    case expired(requestClock: Timestamp, serverClock: Timestamp)
    case accessDenied(reason: String)

    package var awsCode: String {
        switch self {
        case .missingToken: "MissingAuthenticationTokenException"
        case .incompleteSignature: "IncompleteSignatureException"
        case .unrecognizedClient: "UnrecognizedClientException"
        case .invalidSignature, .bodyHash, .expired: "InvalidSignatureException"
        case .accessDenied: "AccessDeniedException"
        }
    }

    package var message: String {
        switch self {
        case .missingToken: "Request is missing Authentication Token"
        case .incompleteSignature(let detail): detail
        case .unrecognizedClient: "The security token included in the request is invalid."
        case .invalidSignature:
            "The request signature we calculated does not match the signature you provided. Check your secret access "
                + "key, and that nothing between you and the server changes the request."
        case .bodyHash(let detail): detail
        case .expired(let request, let server):
            "Signature expired or not yet valid: the request is dated \(AmzDate(request).text), the server's clock "
                + "says \(AmzDate(server).text), and at most \(Limits.clockSkewSecondsMax) seconds between them are "
                + "accepted."
        case .accessDenied(let reason): reason
        }
    }
}
