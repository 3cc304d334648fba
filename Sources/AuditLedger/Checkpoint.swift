import Crypto

/// Size and root of a tree under a name: the body of a C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint).
package struct Checkpoint: Hashable, Sendable {
    package var origin: String
    package var size: UInt64
    package var root: MerkleHash

    package init(origin: String, size: UInt64, root: MerkleHash) {
        self.origin = origin
        self.size = size
        self.root = root
    }

    /// Three lines, each with its newline: what is signed.
    package var body: String { "\(origin)\n\(size)\n\(Base64.encode(root.bytes))\n" }

    init?(body: String) {
        let lines = body.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 4, lines[3].isEmpty, let size = UInt64(lines[1]), String(size) == lines[1],
            let root = Base64.decode(lines[2]), root.count == MerkleHash.byteCount
        else { return nil }
        self.init(origin: lines[0], size: size, root: MerkleHash(root))
    }
}

/// The public half of a ledger's key: C2SP signed-note verifier key, `name+hash+base64(0x01 ‖ Ed25519 key)`.
package struct VerifierKey: Hashable, Sendable {
    private static let ed25519: UInt8 = 1
    package let name: String
    private let publicKey: [UInt8]

    init(name: String, publicKey: [UInt8]) {
        self.name = name
        self.publicKey = publicKey
    }

    package init?(text: String) {
        let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, LedgerName.isValid(parts[0]), let key = Base64.decode(parts[2]), key.count == 33,
            key[0] == Self.ed25519
        else { return nil }
        self.init(name: parts[0], publicKey: Array(key.dropFirst()))
        guard hashText == parts[1] else { return nil }
    }

    package var text: String { "\(name)+\(hashText)+\(Base64.encode([Self.ed25519] + publicKey))" }

    /// The first 4 bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ key).
    var hash: [UInt8] {
        Array(SHA256.hash(data: Array(name.utf8) + [0x0A, Self.ed25519] + publicKey).prefix(4))
    }

    fileprivate var hashText: String {
        hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The checkpoint of a signed note, if this key signed it under its own name; nil for any other text.
    package func open(_ note: String) -> Checkpoint? {
        let lines = note.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let gap = lines.firstIndex(of: ""), gap == 3, lines.count >= gap + 3, lines.last == "" else { return nil }
        let body = lines[..<gap].joined(separator: "\n") + "\n"
        guard let checkpoint = Checkpoint(body: body), checkpoint.origin == name else { return nil }
        let signatures = lines[(gap + 1)..<(lines.count - 1)]
        guard !signatures.isEmpty, signatures.contains(where: { verifies($0, body: body) }) else { return nil }
        return checkpoint
    }

    private func verifies(_ line: String, body: String) -> Bool {
        let parts = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts[0] == "\u{2014}", parts[1] == name, let bytes = Base64.decode(parts[2]),
            bytes.count == 68, Array(bytes[..<4]) == hash,
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
        else { return false }
        return key.isValidSignature(bytes[4...], for: Array(body.utf8))
    }
}

/// The private half: signs checkpoints. Lives in a file of mode 0600 on the ledger's nodes.
package struct CheckpointSigner: Sendable, CustomStringConvertible {
    package static let seedBytes = 32
    package let verifierKey: VerifierKey
    private let key: Curve25519.Signing.PrivateKey

    /// Nil unless `seed` has 32 bytes and `name` is not empty and has no space and no plus sign.
    package init?(name: String, seed: [UInt8]) {
        guard seed.count == Self.seedBytes, LedgerName.isValid(name),
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        else { return nil }
        self.key = key
        verifierKey = VerifierKey(name: name, publicKey: Array(key.publicKey.rawRepresentation))
    }

    /// The text form of `keyFile`.
    package init?(text: String) {
        let prefix = "PRIVATE+KEY+"
        guard text.hasPrefix(prefix) else { return nil }
        let parts = text.dropFirst(prefix.count).split(separator: "+", maxSplits: 2).map(String.init)
        guard parts.count == 3, let bytes = Base64.decode(parts[2]), bytes.count == 33, bytes[0] == 1 else {
            return nil
        }
        self.init(name: parts[0], seed: Array(bytes.dropFirst()))
        guard verifierKey.hashText == parts[1] else { return nil }
    }

    package static func random(name: String, using generator: inout some RandomNumberGenerator) -> CheckpointSigner? {
        CheckpointSigner(
            name: name, seed: (0..<seedBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// The C2SP signed-note private key: `PRIVATE+KEY+name+hash+base64(0x01 ‖ seed)`. Secret.
    package var keyFile: String {
        "PRIVATE+KEY+\(verifierKey.name)+\(verifierKey.hashText)+" + Base64.encode([1] + Array(key.rawRepresentation))
    }

    package var description: String { "CheckpointSigner(\(verifierKey.name))" }

    /// The signed note of a tree; the caller signs only what is committed.
    package func sign(size: UInt64, root: MerkleHash) -> String {
        let body = Checkpoint(origin: verifierKey.name, size: size, root: root).body
        do {
            let signature = try key.signature(for: Array(body.utf8))
            return "\(body)\n\u{2014} \(verifierKey.name) \(Base64.encode(verifierKey.hash + signature))\n"
        } catch {
            preconditionFailure("Ed25519 signs any message: \(error)")
        }
    }
}

enum LedgerName {
    static func isValid(_ name: String) -> Bool {
        !name.isEmpty && !name.unicodeScalars.contains { $0.properties.isWhitespace || $0 == "+" || $0.value < 32 }
    }
}
