package import FaceModel

/// AWS Signature Version 4 in the Authorization header. Verification is in two steps, so that the caller can look the
/// access key up in between: `parse` reads what the request claims, `Claim.verify` proves it with the secret.
package enum SigV4 {
    static let algorithm = "AWS4-HMAC-SHA256"

    /// What a request claims about itself; nothing of it is proved yet.
    package struct Claim: Sendable {
        package let accessKey: AccessKeyID
        package let region: String
        package let date: AmzDate
        /// Lower-case names of the headers the signature covers, sorted.
        package let signedHeaders: [String]
        let scope: CredentialScope
        let signature: [UInt8]

        /// True when the signature covers every header of this name; `name` in lower case.
        package func covers(_ name: String) -> Bool { signedHeaders.contains(name) }

        /// Returns the SHA-256 of the body, in hexadecimal. Throws `expired`, `bodyHash` or `invalidSignature`. `request` is
        /// the one the claim was parsed from.
        @discardableResult package func verify(
            secret: [UInt8], request: SignedRequest, now: Timestamp
        ) throws(AuthError) -> String {
            let skew = date.time.milliseconds.subtractingReportingOverflow(now.milliseconds).partialValue.magnitude
            guard skew <= UInt64(Limits.clockSkewSecondsMax) * 1_000 else {
                throw .expired(requestClock: date.time, serverClock: now)
            }
            let bodyHash = CanonicalRequest.bodyHash(request.body)
            try requireHash(bodyHash, of: request)
            let canonical = CanonicalRequest(request, signed: signedHeaders, bodyHash: bodyHash)
            let expected = canonical.signature(scope: scope, date: date, secret: secret)
            guard isEqual(expected, signature) else { throw .invalidSignature }
            return bodyHash
        }

        private func requireHash(_ bodyHash: String, of request: SignedRequest) throws(AuthError) {
            for sent in request.values("x-amz-content-sha256") where sent != bodyHash {
                let known = sent.hasPrefix("UNSIGNED-PAYLOAD") || sent.hasPrefix("STREAMING-")
                throw .bodyHash(
                    detail: known
                        ? "x-amz-content-sha256 must be the SHA-256 of the body; '\(sent.prefix(40))' is not accepted."
                        : "x-amz-content-sha256 is not the SHA-256 of the body that arrived.")
            }
        }

        /// Takes as long wherever the two differ.
        private func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
            guard a.count == b.count else { return false }
            return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
        }
    }

    /// Throws `missingToken` without an Authorization header, else `incompleteSignature` naming what is wrong.
    package static func parse(
        _ request: SignedRequest, service: String = "rekognition"
    ) throws(AuthError) -> Claim {
        let headers = request.values("authorization")
        guard let header = headers.first else { throw .missingToken }
        guard headers.count == 1 else { throw .incompleteSignature(detail: "There are several Authorization headers.") }
        let fields = try AuthorizationFields(header)
        let (accessKey, scope) = try credential(fields.credential, service: service)
        let date = try date(of: request, scope: scope)
        let signed = try signedHeaders(fields.signedHeaders, of: request)
        return Claim(
            accessKey: accessKey, region: scope.region, date: date, signedHeaders: signed, scope: scope,
            signature: try signature(fields.signature))
    }

    private static func credential(
        _ text: String, service: String
    ) throws(AuthError) -> (AccessKeyID, CredentialScope) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, parts[4] == CredentialScope.terminator else {
            throw .incompleteSignature(
                detail: "Credential must be AccessKey/date/region/\(service)/\(CredentialScope.terminator).")
        }
        guard parts[3] == service else {
            throw .incompleteSignature(detail: "Credential must be scoped to service '\(service)'.")
        }
        guard !parts[2].isEmpty else { throw .incompleteSignature(detail: "Credential names no region.") }
        guard let accessKey = AccessKeyID(parts[0]) else { throw .unrecognizedClient }
        return (accessKey, CredentialScope(day: parts[1], region: parts[2], service: service))
    }

    private static func date(of request: SignedRequest, scope: CredentialScope) throws(AuthError) -> AmzDate {
        guard let text = request.single("x-amz-date"), let date = AmzDate(text: text) else {
            throw .incompleteSignature(detail: "X-Amz-Date must stand once, in the form 20260131T120000Z.")
        }
        guard date.day == scope.day else {
            throw .incompleteSignature(detail: "The date of Credential is not that of X-Amz-Date.")
        }
        return date
    }

    private static func signedHeaders(
        _ text: String, of request: SignedRequest
    ) throws(AuthError) -> [String] {
        let names = text.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
        guard names == Array(Set(names)).sorted(), names.allSatisfy({ !$0.isEmpty && $0 == $0.lowercased() }) else {
            throw .incompleteSignature(detail: "SignedHeaders must be lower-case names, sorted, each once.")
        }
        if let absent = names.first(where: { request.values($0).isEmpty }) {
            throw .incompleteSignature(detail: "SignedHeaders names '\(absent.prefix(64))', which was not sent.")
        }
        guard names.contains("host"), request.single("host") != nil else {
            throw .incompleteSignature(detail: "'host' must be sent once and be signed.")
        }
        for name in ["x-amz-date", "x-amz-target", "content-type", "x-amz-security-token"]
        where !request.values(name).isEmpty && !names.contains(name) {
            throw .incompleteSignature(detail: "'\(name)' must be signed.")
        }
        return names
    }

    private static func signature(_ text: String) throws(AuthError) -> [UInt8] {
        let digits = Array(text.utf8).map { digit -> UInt8? in
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }.compactMap { $0 }
        guard text.utf8.count == 64, digits.count == 64 else {
            throw .incompleteSignature(detail: "Signature must be 64 lower-case hexadecimal digits.")
        }
        return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}

/// The three fields of a SigV4 Authorization header.
private struct AuthorizationFields {
    var credential: String
    var signedHeaders: String
    var signature: String

    init(_ header: String) throws(AuthError) {
        let halves = header.split(separator: " ", maxSplits: 1)
        guard halves.count == 2, halves[0] == SigV4.algorithm else {
            throw .incompleteSignature(detail: "Authorization must begin with \(SigV4.algorithm).")
        }
        var fields: [String: String] = [:]
        for field in halves[1].split(separator: ",") {
            let parts = field.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " } }
            guard parts.count == 2, fields.updateValue(parts[1], forKey: parts[0]) == nil else {
                throw .incompleteSignature(detail: "Authorization has a field that is not name=value, or one twice.")
            }
        }
        guard let credential = fields["Credential"], let signedHeaders = fields["SignedHeaders"],
            let signature = fields["Signature"], fields.count == 3
        else {
            throw .incompleteSignature(
                detail: "Authorization must have exactly 'Credential', 'SignedHeaders' and 'Signature'.")
        }
        self.credential = credential
        self.signedHeaders = signedHeaders
        self.signature = signature
    }
}
