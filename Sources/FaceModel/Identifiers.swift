/// 128 bits, written as a lower-case UUID. The base of every id that is not a name.
package struct Bits128: Hashable, Comparable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The first 16 bytes of `bytes`, big endian; fewer than 16 is a programming error.
    package init(bigEndian bytes: some Collection<UInt8>) {
        precondition(bytes.count >= 16, "128 bits need 16 bytes")
        var (high, low): (UInt64, UInt64) = (0, 0)
        for byte in bytes.prefix(16) {
            high = high << 8 | low >> 56
            low = low << 8 | UInt64(byte)
        }
        self.init(high: high, low: low)
    }

    /// Only the canonical form: 36 characters, lower-case hexadecimal, dashes at 8, 13, 18, 23.
    package init?(text: String) {
        let characters = Array(text.utf8)
        guard characters.count == 36 else { return nil }
        var words: [UInt64] = [0, 0]
        var nibbles = 0
        for (position, character) in characters.enumerated() {
            if [8, 13, 18, 23].contains(position) {
                guard character == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let nibble = Self.nibble(character) else { return nil }
            words[nibbles / 16] = words[nibbles / 16] << 4 | nibble
            nibbles += 1
        }
        self.init(high: words[0], low: words[1])
    }

    package static func random(using generator: inout some RandomNumberGenerator) -> Bits128 {
        Bits128(high: generator.next(), low: generator.next())
    }

    /// 16 bytes, big endian: the byte order is the sort order.
    package var bytes: [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - 8 * ($0 % 8))) }
    }

    package var text: String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        out.reserveCapacity(36)
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { out.append(UInt8(ascii: "-")) }
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The same bits with the version and variant fields of RFC 9562, so that strict UUID parsers accept them.
    package func stamped(version: UInt8) -> Bits128 {
        Bits128(
            high: high & ~0xF000 | UInt64(version) << 12,
            low: low & ~(0b11 << 62) | 0b10 << 62)
    }

    package static func < (a: Bits128, b: Bits128) -> Bool { (a.high, a.low) < (b.high, b.low) }

    private static func nibble(_ character: UInt8) -> UInt64? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(character - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(character - UInt8(ascii: "a") + 10)
        default: nil
        }
    }
}

/// An id of 128 bits that means one kind of thing.
package protocol BitsIdentifier: Hashable, Comparable, Sendable, CustomStringConvertible {
    var bits: Bits128 { get }
    init(_ bits: Bits128)
}

extension BitsIdentifier {
    package init?(text: String) {
        guard let bits = Bits128(text: text) else { return nil }
        self.init(bits)
    }
    package var description: String { bits.text }
    package static func < (a: Self, b: Self) -> Bool { a.bits < b.bits }
}

/// One enrolled face. HMAC of the collection's id key over the face key and its enrolment count (see `KeyHierarchy`).
package struct FaceID: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
}

/// The photo a face came from: the same bytes in the same collection give the same id.
package struct ImageID: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
}

/// One search, as it stands in the ledger and in the answer's `x-facet-search-id`.
package struct SearchID: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
}

/// One client request, from its arrival to the last log line about it on any node: `x-amzn-RequestId`.
package struct RequestID: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
}

/// One life of a collection: a name deleted and created again gets a new one.
package struct CollectionUID: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
}

/// A shard, unique in the cluster.
package struct ShardID: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
}

/// One copy of a shard; a copy built again from empty gets a new one.
package struct ReplicaID: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
}

/// The 128-bit token a log record carries so that a retried request can be recognised; zero means none.
package struct RequestToken: BitsIdentifier {
    package let bits: Bits128
    package init(_ bits: Bits128) { self.bits = bits }
    package static let none = RequestToken(Bits128(high: 0, low: 0))

    /// That of one face of a request, by its position. The faces of one request are neighbours in the order of tokens: a
    /// table of tokens is then written to in few places.
    package func face(at position: Int) -> RequestToken {
        guard self != .none else { return .none }
        return RequestToken(Bits128(high: bits.high, low: bits.low &+ UInt64(position)))
    }
}
