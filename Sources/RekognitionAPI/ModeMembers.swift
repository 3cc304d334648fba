import AccessControl
import Coordinator

/// How a request asks for its search mode: by the headers `x-facet-search-mode` and `x-facet-target-coverage` of any
/// search, or by the members `SearchMode` and `TargetCoverage` of Facet's own.
struct ModeMembers: Sendable {
    private enum Name: String, CaseIterable { case exhaustive, certain, routed }

    private static let modeHeader = "x-facet-search-mode"
    private static let coverageHeader = "x-facet-target-coverage"
    private static let names = Name.allCases.map(\.rawValue).joined(separator: ", ")
    private static let range =
        "a number from \(SearchMode.coverages.lowerBound) to \(SearchMode.coverages.upperBound)"

    /// Nil where no header says anything.
    let header: SearchMode?

    init(_ facts: HeaderFacts) throws(APIError) {
        var name: Name?
        if let text = facts[Self.modeHeader].text {
            name = Name(rawValue: text)
            if name == nil { throw Self.refusal(Self.modeHeader, "must be one of \(Self.names)") }
        }
        var coverage: Double?
        if let text = facts[Self.coverageHeader].text {
            coverage = Self.number(text)
            if coverage == nil { throw Self.refusal(Self.coverageHeader, "must be \(Self.range)") }
            guard name == .routed else {
                throw Self.refusal(Self.coverageHeader, "belongs to \(Self.modeHeader): routed")
            }
        }
        header = name.map { Self.mode($0, coverage) }
    }

    /// Of an operation that has no member for it.
    var asked: SearchMode { header ?? .exhaustive }

    /// Of an operation that has members for it: they or the headers, not both.
    func asked(_ fields: RequestFields) throws(APIError) -> SearchMode {
        let name = try fields.choice("SearchMode", of: Name.self)
        let coverage = try fields.number("TargetCoverage", in: SearchMode.coverages)
        guard coverage == nil || name == .routed else {
            throw fields.invalid("TargetCoverage", "belongs to SearchMode routed")
        }
        guard let name else { return asked }
        guard header == nil else {
            throw fields.invalid("SearchMode", "and the header \(Self.modeHeader) must not both be given")
        }
        return Self.mode(name, coverage)
    }

    private static func mode(_ name: Name, _ coverage: Double?) -> SearchMode {
        switch name {
        case .exhaustive: .exhaustive
        case .certain: .certain
        case .routed: .routed(coverage: coverage ?? SearchMode.coverageDefault)
        }
    }

    /// Decimal digits and a point, as people write a share.
    private static func number(_ text: String) -> Double? {
        guard text.utf8.count <= 20, text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (48...57).contains($0) }),
            let number = Double(text), SearchMode.coverages.contains(number)
        else { return nil }
        return number
    }

    private static func refusal(_ header: String, _ problem: String) -> APIError {
        APIError(.invalidParameter, "Request has invalid parameters. The header \(header) \(problem).")
    }
}
