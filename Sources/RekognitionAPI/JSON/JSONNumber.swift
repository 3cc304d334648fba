/// Reads one number of a JSON document.
///
/// Where digits and power of ten are both exact in a double, so is one multiplication or division of them (Clinger,
/// "How to Read Floating Point Numbers Accurately", 1990); everything else goes to the standard library.
struct JSONNumber {
    private static let powers: [Double] = (0...22).map { power in (0..<power).reduce(1.0) { value, _ in value * 10 } }
    private static let digitsExactMax = 15

    private let bytes: [UInt8]
    private let start: Int
    private(set) var position: Int
    private var mantissa: UInt64 = 0
    private var digits = 0
    private var exponent = 0

    init(_ bytes: [UInt8], at position: Int) {
        self.bytes = bytes
        start = position
        self.position = position
    }

    /// Nil for what RFC 8259 does not call a number. Larger than any double is infinity.
    mutating func read() -> Double? {
        let negative = take("-")
        let leading = position
        guard readDigits() > 0, bytes[leading] != UInt8(ascii: "0") || position == leading + 1 else { return nil }
        if take(".") {
            let count = readDigits()
            guard count > 0 else { return nil }
            exponent -= count
        }
        if take("e") || take("E") {
            guard readExponent() else { return nil }
        }
        guard digits <= Self.digitsExactMax, exponent.magnitude < Self.powers.count else {
            return Double(String(decoding: bytes[start..<position], as: UTF8.self))
        }
        let power = Self.powers[Int(exponent.magnitude)]
        let value = exponent < 0 ? Double(mantissa) / power : Double(mantissa) * power
        return negative ? -value : value
    }

    /// The value is of use only while `digits` is small; beyond that it wraps and is not looked at.
    private mutating func readDigits() -> Int {
        let first = position
        while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit < 10 {
            mantissa = mantissa &* 10 &+ UInt64(digit)
            if mantissa > 0 { digits += 1 }
            position += 1
        }
        return position - first
    }

    private mutating func readExponent() -> Bool {
        let negative = take("-")
        if !negative { _ = take("+") }
        let first = position
        var value = 0
        while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit < 10 {
            value = min(value * 10 + Int(digit), 100_000)
            position += 1
        }
        exponent += negative ? -value : value
        return position > first
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }
}
