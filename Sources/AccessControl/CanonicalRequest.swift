import Crypto

/// SigV4's canonical form of a request and the signature over it; the verifier and the signer share it.
/// Source: "Create a signed AWS API request", AWS IAM User Guide.
struct CanonicalRequest {
    let text: String

    /// `signed` are lower-case names in the order the signer listed them, which must be sorted.
    init(_ request: SignedRequest, signed: [String], bodyHash: String) {
        let headers = signed.map { name in
            name + ":" + request.values(name).map(Self.trimmed).joined(separator: ",") + "\n"
        }
        text = [
            request.method, Self.path(request.path), Self.query(request.query), headers.joined(),
            signed.joined(separator: ";"), bodyHash,
        ].joined(separator: "\n")
    }

    func signature(scope: CredentialScope, date: AmzDate, secret: [UInt8]) -> [UInt8] {
        let toSign = [
            SigV4.algorithm, date.text, scope.text, Self.hexadecimal(SHA256.hash(data: Array(text.utf8))),
        ].joined(separator: "\n")
        var key = Array("AWS4".utf8) + secret
        for part in [scope.day, scope.region, scope.service, CredentialScope.terminator, toSign] {
            key = Array(HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: SymmetricKey(data: key)))
        }
        return key
    }

    static func bodyHash(_ body: [UInt8]) -> String { hexadecimal(SHA256.hash(data: body)) }

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Spaces at both ends removed, runs of spaces inside made one.
    private static func trimmed(_ value: String) -> String {
        value.utf8.split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") })
            .map { String($0) ?? "" }.joined(separator: " ")
    }

    /// The path as sent, encoded once more, as every service but S3 wants it; `.`, `..` and empty segments removed.
    private static func path(_ raw: String) -> String {
        var segments: [Substring.UTF8View] = []
        for segment in raw.utf8.split(separator: UInt8(ascii: "/")) {
            if segment.elementsEqual(".".utf8) { continue }
            if segment.elementsEqual("..".utf8) { _ = segments.popLast() } else { segments.append(segment) }
        }
        let encoded = segments.map { encode($0) }.joined(separator: "/")
        let tail = raw.utf8.last == UInt8(ascii: "/") && !encoded.isEmpty ? "/" : ""
        return "/" + encoded + tail
    }

    /// Parameters sorted by their encoded name, then value; each already encoded by the sender.
    private static func query(_ raw: String) -> String {
        let pairs = raw.utf8.split(separator: UInt8(ascii: "&")).map { pair -> (String, String) in
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]) ?? "", parts.count == 2 ? String(parts[1]) ?? "" : "")
        }
        return pairs.sorted { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }.map { $0 + "=" + $1 }.joined(separator: "&")
    }

    private static func encode(_ segment: Substring.UTF8View) -> String {
        let upper = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in segment {
            if isUnreserved(byte) {
                out.append(byte)
            } else {
                out += [UInt8(ascii: "%"), upper[Int(byte >> 4)], upper[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func isUnreserved(_ c: UInt8) -> Bool {
        switch c {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
