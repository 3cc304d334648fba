import Crypto

/// SHA-256 and HMAC-SHA256 over byte arrays, with the one framing this project uses to make inputs unambiguous.
package enum KeyedHash {
    /// Bytes of every hash here.
    package static let byteCount = 32

    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    /// HMAC-SHA256 of `bytes` as they stand.
    package static func hmac(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: bytes, using: SymmetricKey(data: key)))
    }

    /// HMAC-SHA256 of `framed(label:parts:)`: no two different lists of parts give the same input.
    package static func hmac(key: [UInt8], label: String, parts: [[UInt8]]) -> [UInt8] {
        hmac(key: key, framed(label: label, parts: parts))
    }

    /// Label and parts, each after its length as a big-endian u32.
    package static func framed(label: String, parts: [[UInt8]]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(parts.reduce(4 + label.utf8.count) { $0 + 4 + $1.count })
        append(Array(label.utf8), to: &out)
        for part in parts { append(part, to: &out) }
        return out
    }

    /// Compares without telling by its time where two arrays differ. Different lengths are told at once.
    package static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        var difference: UInt8 = 0
        for index in a.indices { difference |= a[index] ^ b[index] }
        return difference == 0
    }

    private static func append(_ part: [UInt8], to out: inout [UInt8]) {
        withUnsafeBytes(of: UInt32(part.count).bigEndian) { out.append(contentsOf: $0) }
        out.append(contentsOf: part)
    }
}
