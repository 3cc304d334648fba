package import FaceModel

extension SigV4 {
    /// The headers to add so that a server verifies `request`: X-Amz-Date, X-Amz-Content-Sha256 and Authorization.
    /// Every header already in `request` is signed, `host` must be among them; `secret` is the key's text as bytes.
    package static func sign(
        _ request: SignedRequest, accessKey: AccessKeyID, secret: [UInt8], region: String,
        service: String = "rekognition", now: Timestamp
    ) -> [SignedRequest.Header] {
        precondition(request.single("host") != nil, "SigV4 signs the host")
        let date = AmzDate(now)
        let bodyHash = CanonicalRequest.bodyHash(request.body)
        let added = [
            SignedRequest.Header("X-Amz-Date", date.text), SignedRequest.Header("X-Amz-Content-Sha256", bodyHash),
        ]
        var full = request
        full.headers += added
        let names = Array(Set(full.headers.map { $0.name.lowercased() })).sorted()
        let scope = CredentialScope(day: date.day, region: region, service: service)
        let signature = CanonicalRequest(full, signed: names, bodyHash: bodyHash)
            .signature(scope: scope, date: date, secret: secret)
        let value =
            "\(algorithm) Credential=\(accessKey)/\(scope.text), SignedHeaders=\(names.joined(separator: ";")), "
            + "Signature=\(CanonicalRequest.hexadecimal(signature))"
        return added + [SignedRequest.Header("Authorization", value)]
    }
}
