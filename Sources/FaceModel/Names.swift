/// A name chosen by a client, checked against the pattern of Rekognition's model.
package protocol ClientName: Hashable, Comparable, Sendable, CustomStringConvertible {
    var text: String { get }
    init?(_ text: String)
}

extension ClientName {
    package var description: String { text }
    package static func < (a: Self, b: Self) -> Bool { a.text < b.text }
}

/// 1-255 characters of `a-z A-Z 0-9 _ . -`, case-sensitive.
package struct CollectionName: ClientName {
    package let text: String
    package init?(_ text: String) {
        guard (1...255).contains(text.utf8.count), NamePattern.all(text, NamePattern.isPlain) else { return nil }
        self.text = text
    }
}

/// 1-255 characters of `a-z A-Z 0-9 _ . - :`.
package struct ExternalImageID: ClientName {
    package let text: String
    package init?(_ text: String) {
        guard (1...255).contains(text.utf8.count),
            NamePattern.all(text, { NamePattern.isPlain($0) || $0 == UInt8(ascii: ":") })
        else { return nil }
        self.text = text
    }
}

/// An account: 12 decimal digits, as in AWS ARNs. `000000000000` is the cluster itself (its ledger).
package struct TenantID: ClientName {
    package let text: String
    package init?(_ text: String) {
        guard text.utf8.count == 12, text.utf8.allSatisfy(NamePattern.isDigit) else { return nil }
        self.text = text
    }
    private init(trusted text: String) { self.text = text }
    package static let cluster = TenantID(trusted: "000000000000")
    /// The tenant of an embedded server that was configured with no other.
    package static let embedded = TenantID(trusted: "000000000001")
}

/// The public half of an access key, as SigV4's `Credential` names it: 16-128 word characters.
package struct AccessKeyID: ClientName {
    package let text: String
    package init?(_ text: String) {
        guard (16...128).contains(text.utf8.count),
            text.utf8.allSatisfy({ NamePattern.isPlain($0) && $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "-") })
        else { return nil }
        self.text = text
    }
}

/// A process that holds shards, as the cluster's configuration names it: 1-63 characters of `a-z 0-9 -`.
package struct NodeID: ClientName {
    package let text: String
    package init?(_ text: String) {
        guard (1...63).contains(text.utf8.count), text.utf8.allSatisfy(NamePattern.isLabel) else { return nil }
        self.text = text
    }
    private init(trusted text: String) { self.text = text }
    /// The only node of an embedded server: the process itself.
    package static let embedded = NodeID(trusted: "embedded")
}

enum NamePattern {
    /// Whether every byte of the text passes; thousands of names are read with one answer of a node.
    static func all(_ text: String, _ passes: (UInt8) -> Bool) -> Bool {
        text.utf8.withContiguousStorageIfAvailable { $0.allSatisfy(passes) } ?? text.utf8.allSatisfy(passes)
    }
    static func isLabel(_ c: UInt8) -> Bool {
        isDigit(c) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(c) || c == UInt8(ascii: "-")
    }
    static func isDigit(_ c: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(c) }
    static func isPlain(_ c: UInt8) -> Bool {
        isDigit(c) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(c)
            || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(c)
            || c == UInt8(ascii: "_") || c == UInt8(ascii: ".") || c == UInt8(ascii: "-")
    }
}
