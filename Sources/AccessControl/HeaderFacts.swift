/// The `x-facet-*` headers of a request, and whether the signature covers them. A policy that demands one refuses an
/// unsigned one: what stands between client and server could have written it.
package struct HeaderFacts: Sendable {
    package enum Fact: Hashable, Sendable {
        case absent
        case unsigned(String)
        case signed(String)

        /// The text, signed or not.
        package var text: String? {
            switch self {
            case .absent: nil
            case .unsigned(let text), .signed(let text): text
            }
        }
    }

    private let facts: [String: Fact]

    package init(_ request: SignedRequest, claim: SigV4.Claim) {
        var facts: [String: Fact] = [:]
        for header in request.headers {
            let name = header.name.lowercased()
            guard name.hasPrefix("x-facet-") else { continue }
            let text = request.values(name).joined(separator: ",")
            facts[name] = claim.covers(name) ? .signed(text) : .unsigned(text)
        }
        self.facts = facts
    }

    /// Names of the headers the signature does not cover, sorted.
    package var unsigned: [String] {
        facts.compactMap { name, fact in if case .unsigned = fact { name } else { nil } }.sorted()
    }

    /// `name` in lower case, with its prefix.
    package subscript(_ name: String) -> Fact { facts[name] ?? .absent }
}
