import FaceModel

/// Why bytes are not a JSON document this server reads. `offset` is the byte where that was seen.
struct JSONFault: Error, Hashable {
    var offset: Int
    var problem: String
}

/// Reads RFC 8259 to the letter: UTF-8 alone, no member twice, nothing behind the value.
///
/// Own code because what reads requests of strangers must be bounded: values by `valuesMax`, nesting by `depthMax`. It
/// also has to be fast where bodies are large: photos as base64 (a string of millions of bytes) and vectors as numbers.
struct JSONReader {
    static let depthMax = 32
    /// The largest IndexVectors written as numbers, and room for all that is not its numbers.
    static let valuesMax = Limits.vectorsPerRequestMax * Limits.dimensionRange.upperBound + 65_536

    private let bytes: [UInt8]
    private var position = 0
    private var values = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    static func read(_ bytes: [UInt8]) throws(JSONFault) -> JSONValue {
        var reader = JSONReader(bytes)
        let value = try reader.value(depth: 0)
        guard reader.next() == nil else { throw reader.fault("something follows the document") }
        return value
    }

    private mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        values += 1
        guard values <= Self.valuesMax else { throw fault("there are more than \(Self.valuesMax) values") }
        guard depth <= Self.depthMax else { throw fault("it is nested more than \(Self.depthMax) deep") }
        guard let first = next() else { throw fault("it ends where a value should be") }
        switch first {
        case UInt8(ascii: "{"): return .object(try object(depth: depth))
        case UInt8(ascii: "["): return .list(try list(depth: depth))
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t"): return try word("true", .flag(true))
        case UInt8(ascii: "f"): return try word("false", .flag(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            var scan = JSONNumber(bytes, at: position)
            guard let number = scan.read() else { throw fault("a number is malformed") }
            position = scan.position
            return .number(number)
        default: throw fault("no value begins here")
        }
    }

    private mutating func object(depth: Int) throws(JSONFault) -> [String: JSONValue] {
        position += 1
        var members: [String: JSONValue] = [:]
        if take(UInt8(ascii: "}")) { return members }
        repeat {
            guard next() == UInt8(ascii: "\"") else { throw fault("a member's name should be here") }
            let start = position
            let name = try text()
            guard take(UInt8(ascii: ":")) else { throw fault("':' should be here") }
            guard members.updateValue(try value(depth: depth + 1), forKey: name) == nil else {
                throw JSONFault(offset: start, problem: "a member stands twice")
            }
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw fault("',' or '}' should be here") }
        return members
    }

    private mutating func list(depth: Int) throws(JSONFault) -> [JSONValue] {
        position += 1
        var elements: [JSONValue] = []
        if take(UInt8(ascii: "]")) { return elements }
        repeat {
            elements.append(try value(depth: depth + 1))
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw fault("',' or ']' should be here") }
        return elements
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONFault) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw fault("no value begins here") }
        position += word.utf8.count
        return value
    }

    /// `position` is at the opening quote. Most strings have no escape and are taken as one slice.
    private mutating func text() throws(JSONFault) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return try utf8(bytes[start..<position - 1])
            }
            if byte == UInt8(ascii: "\\") { return try escapedText(from: start) }
            guard byte >= 0x20 else { throw fault("a control character stands in a string") }
            position += 1
        }
        throw fault("a string does not end")
    }

    private mutating func escapedText(from start: Int) throws(JSONFault) -> String {
        var out = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try utf8(out[...])
            case UInt8(ascii: "\\"): try escape(into: &out)
            case 0..<0x20: throw fault("a control character stands in a string")
            default: out.append(byte)
            }
        }
        throw fault("a string does not end")
    }

    private mutating func escape(into out: inout [UInt8]) throws(JSONFault) {
        guard position < bytes.count else { throw fault("a string does not end") }
        position += 1
        switch bytes[position - 1] {
        case UInt8(ascii: "\""): out.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): out.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): out.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"): out += Array(String(try scalar()).utf8)
        default: throw fault("an escape is not known")
        }
    }

    /// `position` is behind "\u"; two escapes make one scalar beyond the basic plane.
    private mutating func scalar() throws(JSONFault) -> Unicode.Scalar {
        var code = try fourDigits()
        if (0xD800..<0xDC00).contains(code) {
            guard bytes[position...].starts(with: "\\u".utf8) else { throw fault("half a surrogate pair") }
            position += 2
            let low = try fourDigits()
            guard (0xDC00..<0xE000).contains(low) else { throw fault("half a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair") }
        return scalar
    }

    private mutating func fourDigits() throws(JSONFault) -> UInt32 {
        let digits = bytes[position...].prefix(4)
        position += digits.count
        guard digits.count == 4, digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
            let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw fault("\\u needs four hexadecimal digits") }
        return code
    }

    private func utf8(_ slice: ArraySlice<UInt8>) throws(JSONFault) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw fault("a string is not UTF-8") }
        return text
    }

    /// The next byte that is not white space, which is passed over; nil at the end.
    private mutating func next() -> UInt8? {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            case let byte: return byte
            }
        }
        return nil
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next() == byte else { return false }
        position += 1
        return true
    }

    private func fault(_ problem: String) -> JSONFault { JSONFault(offset: position, problem: problem) }
}
