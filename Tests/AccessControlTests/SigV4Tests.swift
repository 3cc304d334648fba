import AccessControl
import FaceModel
import Testing

/// 2026-01-31T12:00:00Z, when the vectors were signed.
private let signedAt = Timestamp(milliseconds: 1_769_860_800_000)

private func verify(
    _ request: SignedRequest, secret: [UInt8], now: Timestamp = signedAt
) throws(AuthError) -> SigV4.Claim {
    let claim = try SigV4.parse(request)
    try claim.verify(secret: secret, request: request, now: now)
    return claim
}

/// What `body` throws, or nil.
private func refusal(of request: SignedRequest, secret: [UInt8], now: Timestamp = signedAt) -> AuthError? {
    do throws(AuthError) {
        _ = try verify(request, secret: secret, now: now)
        return nil
    } catch {
        return error
    }
}

private func signed(
    headers: [SignedRequest.Header] = [], body: [UInt8] = Array("{}".utf8), path: String = "/", query: String = ""
) throws -> (request: SignedRequest, secret: [UInt8]) {
    let secret = Array("a secret of an access key".utf8)
    var request = SignedRequest(
        method: "POST", path: path, query: query, headers: [.init("Host", "localhost:8900")] + headers, body: body)
    let key = try #require(AccessKeyID("AKIDEXAMPLE00000"))
    request.headers += SigV4.sign(request, accessKey: key, secret: secret, region: "us-east-1", now: signedAt)
    return (request, secret)
}

private func replacing(_ request: SignedRequest, _ name: String, with value: String?) -> SignedRequest {
    var changed = request
    changed.headers.removeAll { $0.name.lowercased() == name.lowercased() }
    if let value { changed.headers.append(.init(name, value)) }
    return changed
}

private func value(_ request: SignedRequest, _ name: String) -> String {
    request.headers.first { $0.name.lowercased() == name.lowercased() }?.value ?? ""
}

@Suite struct SigV4Tests {
    @Test func thereAreVectors() { #expect(SigV4Vector.all.count == 11) }

    @Test(arguments: SigV4Vector.all) func botocoreIsUnderstood(_ vector: SigV4Vector) throws {
        let claim = try verify(vector.request, secret: vector.secret)
        #expect(claim.accessKey.text == "AKIDEXAMPLE00000")
        #expect(claim.region == vector.region)
        #expect(claim.date.time == signedAt)
        #expect(claim.covers("host") && claim.covers("x-amz-date"))
    }

    /// get-vanilla of AWS's published test suite; the access key is no part of what is signed.
    @Test func awsPublishedVectorHolds() throws {
        let request = SignedRequest(
            method: "GET", path: "/", query: "",
            headers: [
                .init("Host", "example.amazonaws.com"), .init("X-Amz-Date", "20150830T123600Z"),
                .init(
                    "Authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE00000/20150830/us-east-1/service/aws4_request, "
                        + "SignedHeaders=host;x-amz-date, "
                        + "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ], body: [])
        let claim = try SigV4.parse(request, service: "service")
        try claim.verify(
            secret: Array("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".utf8), request: request, now: claim.date.time)
    }

    @Test(arguments: SigV4Vector.all) func anyFlippedBodyByteIsRefused(_ vector: SigV4Vector) {
        for position in vector.request.body.indices {
            var changed = vector.request
            changed.body[position] ^= 1
            #expect(refusal(of: changed, secret: vector.secret)?.awsCode == "InvalidSignatureException")
        }
        var longer = vector.request
        longer.body.append(0)
        #expect(refusal(of: longer, secret: vector.secret)?.awsCode == "InvalidSignatureException")
    }

    @Test(arguments: SigV4Vector.all) func anyChangedCharacterOfASignedHeaderIsRefused(_ vector: SigV4Vector) {
        for (position, header) in vector.request.headers.enumerated() where header.name != "User-Agent" {
            let characters = Array(header.value.utf8)
            for offset in characters.indices where characters[offset] != UInt8(ascii: " ") {
                var text = characters
                text[offset] = text[offset] == UInt8(ascii: "q") ? UInt8(ascii: "z") : UInt8(ascii: "q")
                var changed = vector.request
                changed.headers[position].value = String(decoding: text, as: UTF8.self)
                if Self.isInAccessKey(header.value, offset) { continue }
                #expect(refusal(of: changed, secret: vector.secret) != nil, "\(header.name) at \(offset)")
            }
        }
    }

    /// The access key's own characters are not signed: another key's secret makes the difference.
    private static func isInAccessKey(_ value: String, _ offset: Int) -> Bool {
        guard let range = value.firstRange(of: "Credential=AKIDEXAMPLE00000") else { return false }
        let start = value.utf8.distance(from: value.startIndex, to: range.lowerBound) + "Credential=".utf8.count
        return (start..<start + 16).contains(offset)
    }

    @Test func methodPathQueryAndSecretAreSigned() throws {
        let (request, secret) = try signed(path: "/a/b", query: "x=1&y=2")
        #expect(refusal(of: request, secret: secret) == nil)
        for change: (inout SignedRequest) -> Void in [
            { $0.method = "GET" }, { $0.path = "/a/c" }, { $0.query = "x=1&y=3" }, { $0.query = "x=1" },
            { $0.query = "x=1&y=2&z=" }, { $0.path = "/a/b/" },
        ] {
            var changed = request
            change(&changed)
            #expect(refusal(of: changed, secret: secret) == .invalidSignature)
        }
        #expect(refusal(of: request, secret: secret + [1]) == .invalidSignature)
        #expect(refusal(of: request, secret: []) == .invalidSignature)
    }

    @Test func orderOfParametersAndHeadersDoesNotMatter() throws {
        var (request, secret) = try signed(
            headers: [.init("X-Facet-Case", "A 1"), .init("X-Facet-Purpose", "p")], query: "x=1&y=2")
        request.query = "y=2&x=1"
        request.headers.reverse()
        request = replacing(request, "x-facet-case", with: "   A \t 1 ")
        #expect(refusal(of: request, secret: secret) == nil)
    }

    @Test func aHeaderAddedTwiceIsRefused() throws {
        let (request, secret) = try signed(headers: [.init("X-Facet-Case", "A 1")])
        for name in ["Host", "X-Amz-Date", "X-Facet-Case", "Authorization"] {
            var changed = request
            changed.headers.append(.init(name, value(request, name)))
            #expect(refusal(of: changed, secret: secret) != nil, "\(name)")
        }
    }

    @Test func theClockDecidesToTheMillisecond() throws {
        let (request, secret) = try signed()
        for offset: Int64 in [-300_000, -1, 0, 300_000] {
            let now = Timestamp(milliseconds: signedAt.milliseconds + offset)
            #expect(refusal(of: request, secret: secret, now: now) == nil)
        }
        for offset: Int64 in [-300_001, 300_001, .min / 2, .max / 2] {
            let now = Timestamp(milliseconds: signedAt.milliseconds + offset)
            #expect(
                refusal(of: request, secret: secret, now: now) == .expired(requestClock: signedAt, serverClock: now))
        }
        let late = Timestamp(milliseconds: signedAt.milliseconds + 3_600_000)
        let text = refusal(of: request, secret: secret, now: late)?.message ?? ""
        #expect(text.contains("20260131T120000Z") && text.contains("20260131T130000Z"))
    }

    @Test func whatMustBeSignedMustBeSigned() throws {
        for name in ["X-Amz-Target", "Content-Type", "X-Amz-Security-Token"] {
            var (request, secret) = try signed()
            request.headers.append(.init(name, "added on the way"))
            guard case .incompleteSignature(let detail) = refusal(of: request, secret: secret) else {
                Issue.record("\(name) was taken unsigned")
                continue
            }
            #expect(detail.contains(name.lowercased()))
        }
        let (request, secret) = try signed()
        for name in ["host", "x-amz-date"] {
            let names = value(request, "Authorization").replacing(
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date",
                with: "SignedHeaders="
                    + ["host", "x-amz-content-sha256", "x-amz-date"].filter { $0 != name }
                    .joined(separator: ";"))
            let error = refusal(of: replacing(request, "Authorization", with: names), secret: secret)
            #expect(error?.awsCode == "IncompleteSignatureException")
        }
    }

    @Test func theBodyHashHeaderMustBeTheBodys() throws {
        for text in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", String(repeating: "0", count: 64)] {
            let (request, secret) = try signed()
            let changed = replacing(request, "X-Amz-Content-Sha256", with: text)
            guard case .bodyHash = refusal(of: changed, secret: secret) else {
                Issue.record("\(text) was accepted")
                continue
            }
        }
    }

    @Test func brokenAuthorizationIsNamed() throws {
        let (request, secret) = try signed()
        #expect(refusal(of: replacing(request, "Authorization", with: nil), secret: secret) == .missingToken)
        let good = value(request, "Authorization")
        let broken = [
            "", "Bearer abc", "AWS4-HMAC-SHA256", good.replacing("AWS4-HMAC-SHA256", with: "AWS4-ECDSA-P256-SHA256"),
            good.replacing("Signature=", with: "Sig="), good + ", Extra=1", good + "0",
            good.replacing("/aws4_", with: "/aws5_"),
            good.replacing("/rekognition/", with: "/s3/"), good.replacing("/us-east-1/", with: "//"),
            good.replacing("/20260131/", with: "/20260130/"), good.replacing("host;", with: "host;host;"),
            good.replacing("host;x-amz-content-sha256", with: "x-amz-content-sha256;host"),
            good.replacing("host;", with: "Host;"), good.replacing("host;", with: "host;x-absent;"),
        ]
        for text in broken {
            let code = refusal(of: replacing(request, "Authorization", with: text), secret: secret)?.awsCode
            #expect(code == "IncompleteSignatureException", "\(text)")
        }
        let stranger = good.replacing("AKIDEXAMPLE00000", with: "short")
        #expect(refusal(of: replacing(request, "Authorization", with: stranger), secret: secret) == .unrecognizedClient)
    }

    @Test func garbageNeverCrashes() throws {
        var generator = Seeded(state: 17)
        let (request, secret) = try signed()
        let good = Array(value(request, "Authorization").utf8)
        for _ in 0..<2_000 {
            var text = good
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let at = Int.random(in: 0..<text.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: text[at] = .random(in: 0...255, using: &generator)
                case 1: text.remove(at: at)
                default: text.insert(.random(in: 0...255, using: &generator), at: at)
                }
            }
            let changed = replacing(request, "Authorization", with: String(decoding: text, as: UTF8.self))
            guard let error = refusal(of: changed, secret: secret) else {
                // Spaces around fields and the access key itself are not part of what is signed.
                let same = { (bytes: [UInt8]) in bytes.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: ",") } }
                let claim = try SigV4.parse(changed)
                #expect(same(text) == same(good) || claim.accessKey.text != "AKIDEXAMPLE00000")
                continue
            }
            #expect(!error.message.isEmpty)
        }
    }

    @Test func headerFactsTellWhatIsSigned() throws {
        var (request, _) = try signed(headers: [.init("X-Facet-Case", "A-17")])
        request.headers.append(.init("x-facet-purpose", "added on the way"))
        let facts = HeaderFacts(request, claim: try SigV4.parse(request))
        #expect(facts["x-facet-case"] == .signed("A-17"))
        #expect(facts["x-facet-purpose"] == .unsigned("added on the way"))
        #expect(facts["x-facet-authority"] == .absent)
    }
}

@Suite struct AmzDateTests {
    @Test func everyDayOfTwoCenturiesRoundTrips() throws {
        for day in stride(from: Int64(-36_525), to: 36_525, by: 1) {
            let date = AmzDate(Timestamp(milliseconds: day * 86_400_000 + 86_399_000))
            let again = try #require(AmzDate(text: date.text))
            #expect(again == date)
        }
        #expect(AmzDate(Timestamp(milliseconds: 951_782_400_000)).text == "20000229T000000Z")
        #expect(AmzDate(Timestamp(milliseconds: -1)).text == "19691231T235959Z")
    }

    @Test(arguments: [
        "", "20260131T120000", "20260131 120000Z", "20260230T120000Z", "20250229T000000Z", "20261301T000000Z",
        "20260100T000000Z", "20260131T240000Z", "20260131T126000Z", "20260131T120060Z", "2026013١T120000Z",
        "+0260131T120000Z",
    ]) func impossibleDatesAreRefused(_ text: String) { #expect(AmzDate(text: text) == nil) }
}

/// Steele, Lea and Flood's SplitMix64.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
