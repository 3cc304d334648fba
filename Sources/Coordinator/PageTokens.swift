import FaceModel
import KeyHierarchy

/// Page tokens: the last item shown and a MAC over it, so that a client can neither read ahead of its scope nor forge
/// a position. Text: hexadecimal of item and the MAC's first 16 bytes; a 100-byte name still fits AWS's 255 characters.
struct PageTokens {
    private static let macBytes = 16
    let key: [UInt8]
    let scope: String

    func seal(_ last: [UInt8]) -> String {
        Hexadecimal.text(last + mac(last))
    }

    /// Nil for anything this server did not seal for this scope.
    func open(_ token: String) -> [UInt8]? {
        guard let bytes = Hexadecimal.bytes(token), bytes.count >= Self.macBytes else { return nil }
        let last = Array(bytes.dropLast(Self.macBytes))
        return KeyedHash.equal(Array(bytes.suffix(Self.macBytes)), mac(last)) ? last : nil
    }

    private func mac(_ last: [UInt8]) -> [UInt8] {
        Array(KeyedHash.hmac(key: key, label: "page-token", parts: [Array(scope.utf8), last]).prefix(Self.macBytes))
    }
}

enum Hexadecimal {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    static func bytes(_ text: String) -> [UInt8]? {
        let nibbles = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue.map(UInt8.init) }
        guard nibbles.count == text.utf8.count, nibbles.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: nibbles.count, by: 2).map { nibbles[$0] << 4 | nibbles[$0 + 1] }
    }
}
