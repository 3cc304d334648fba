/// Writes a JSON document with the members of every object in the order of their names.
struct JSONWriter {
    /// Whole numbers up to here are exact in a double and are written without a point.
    private static let wholeMax = 9_007_199_254_740_992.0
    private var bytes: [UInt8] = []

    private init() {}

    static func bytes(_ value: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        writer.put(value)
        return writer.bytes
    }

    private mutating func put(_ value: JSONValue) {
        switch value {
        case .null: bytes += "null".utf8
        case .flag(let flag): bytes += (flag ? "true" : "false").utf8
        case .number(let number): put(number)
        case .text(let text): put(text)
        case .list(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                put(element)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                put(member.key)
                bytes.append(UInt8(ascii: ":"))
                put(member.value)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// The shortest digits that read back as the same double.
    private mutating func put(_ number: Double) {
        precondition(number.isFinite, "JSON has no word for what is not finite")
        if number.rounded(.towardZero) == number, number.magnitude < Self.wholeMax {
            bytes += Int64(number).description.utf8
        } else {
            bytes += number.description.utf8
        }
    }

    private mutating func put(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: bytes += Array((byte < 0x10 ? "\\u000" : "\\u00").utf8) + String(byte, radix: 16).utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
