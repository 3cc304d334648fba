/// `day/region/service/aws4_request`: what a SigV4 signing key is good for.
struct CredentialScope: Hashable, Sendable {
    static let terminator = "aws4_request"
    var day: String
    var region: String
    var service: String

    var text: String { [day, region, service, Self.terminator].joined(separator: "/") }
}
