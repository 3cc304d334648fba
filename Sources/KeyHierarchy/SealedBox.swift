import Crypto

/// AES-256-GCM with the place a secret stands in as associated data: moved to another register it does not open.
///
/// ```
/// 0  1  format version: 1
/// 1 12  nonce
/// 13    ciphertext, as long as the plaintext
///    16 tag
/// ```
enum SealedBox {
    private static let version: UInt8 = 1
    private static let nonceBytes = 12
    private static let tagBytes = 16
    private static let label = "facet sealed register v1"

    static func seal(
        _ secret: [UInt8], register: String, key: [UInt8], using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        let nonce = (0..<nonceBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        do {
            let box = try AES.GCM.seal(
                secret, using: SymmetricKey(data: key), nonce: AES.GCM.Nonce(data: nonce),
                authenticating: associatedData(register))
            return [version] + nonce + box.ciphertext + box.tag
        } catch {
            preconditionFailure("AES-256-GCM refuses only a key or nonce of the wrong length: \(error)")
        }
    }

    static func open(_ sealed: [UInt8], register: String, key: [UInt8]) throws(KeyError) -> [UInt8] {
        guard let format = sealed.first else { throw .unopenable(register: register) }
        guard format == version else { throw .unknownFormat(register: register, version: format) }
        guard sealed.count >= 1 + nonceBytes + tagBytes else { throw .unopenable(register: register) }
        do {
            let box = try AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: sealed[1..<1 + nonceBytes]),
                ciphertext: sealed[(1 + nonceBytes)..<(sealed.count - tagBytes)], tag: sealed.suffix(tagBytes))
            return Array(
                try AES.GCM.open(box, using: SymmetricKey(data: key), authenticating: associatedData(register)))
        } catch {
            throw .unopenable(register: register)
        }
    }

    private static func associatedData(_ register: String) -> [UInt8] {
        KeyedHash.framed(label: label, parts: [Array(register.utf8)])
    }
}
