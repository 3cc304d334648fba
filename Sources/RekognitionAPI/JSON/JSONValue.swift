/// A JSON value as requests bring it and answers are made of. Domain types turn into it and out of it explicitly.
enum JSONValue: Hashable, Sendable {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    static func number(_ value: Int) -> JSONValue { .number(Double(value)) }
    static func number(_ value: UInt64) -> JSONValue { .number(Double(value)) }
    static func number(_ value: Float) -> JSONValue { .number(Double(value)) }
    static func texts(_ values: some Sequence<String>) -> JSONValue { .list(values.map { .text($0) }) }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    init(dictionaryLiteral members: (String, JSONValue)...) {
        self = .object(Dictionary(uniqueKeysWithValues: members))
    }
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .number(value) }
}
