import AccessControl
import Coordinator
import FaceModel

/// How new a request's reads must be: `x-facet-consistency` and what the client has seen, `x-facet-session`.
enum ConsistencyHeaders {
    private static let consistency = "x-facet-consistency"
    static let session = "x-facet-session"
    private static let bounded = "bounded="
    private static let forms =
        "strong, session, or \(bounded) and 1 to \(Limits.readBoundMillisecondsMax) milliseconds"

    static func session(_ facts: HeaderFacts) throws(APIError) -> ReadSession {
        var token: SessionToken?
        if let text = facts[session].text {
            token = SessionToken(text)
            if token == nil { throw refusal(session, "is not one that this service has answered with") }
        }
        let level = try level(facts[consistency].text)
        guard level != .session || token != nil else {
            throw refusal(consistency, "session needs the header \(session), which every answer about faces returns")
        }
        return ReadSession(level, token: token)
    }

    private static func level(_ text: String?) throws(APIError) -> ReadConsistency {
        switch text {
        case nil, "strong": return .strong
        case "session": return .session
        case let text?:
            guard text.hasPrefix(bounded), text.utf8.count <= bounded.utf8.count + 7,
                let milliseconds = UInt32(text.dropFirst(bounded.count)),
                (1...Limits.readBoundMillisecondsMax).contains(Int(milliseconds))
            else { throw refusal(consistency, "must be \(forms)") }
            return .bounded(milliseconds: Int(milliseconds))
        }
    }

    private static func refusal(_ header: String, _ problem: String) -> APIError {
        APIError(.invalidParameter, "Request has invalid parameters. The header \(header) \(problem).")
    }
}
