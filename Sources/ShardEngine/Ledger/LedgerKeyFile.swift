import AuditLedger
import StorageIO

/// The file of the ledger's Ed25519 key, a C2SP signed-note private key in one line.
enum LedgerKeyFile {
    /// Reads the key; makes one when there is neither a key nor a ledger. A key that is not the ledger's is refused.
    static func load(_ settings: LedgerSettings, _ store: LedgerFiles) throws(LedgerError) -> CheckpointSigner {
        let known: String?
        let signer: CheckpointSigner?
        do throws(FileError) {
            known = try store.readText(store.verifierKeyPath)?.trimmed
            signer = try read(settings, store, mayMake: known == nil)
            if known == nil, let signer {
                try store.files.createDirectory(store.directory)
                try store.writeText(signer.verifierKey.text + "\n", to: store.verifierKeyPath)
            }
        } catch {
            throw .damaged(reason: error.sentence)
        }
        guard let signer else {
            throw .damaged(reason: "\(settings.signingKeyPath) holds no key of the ledger \(settings.name)")
        }
        if let known, known != signer.verifierKey.text {
            throw .damaged(reason: "\(settings.signingKeyPath) is not the key that \(store.verifierKeyPath) names")
        }
        return signer
    }

    private static func read(
        _ settings: LedgerSettings, _ store: LedgerFiles, mayMake: Bool
    ) throws(FileError) -> CheckpointSigner? {
        if let text = try store.readText(settings.signingKeyPath)?.trimmed {
            let signer = CheckpointSigner(text: text)
            return signer?.verifierKey.name == settings.name ? signer : nil
        }
        guard mayMake else { throw .notFound(path: settings.signingKeyPath) }
        var generator = SystemRandomNumberGenerator()
        let made =
            if let seed = settings.signingSeed {
                CheckpointSigner(name: settings.name, seed: seed)
            } else {
                CheckpointSigner.random(name: settings.name, using: &generator)
            }
        guard let signer = made else { return nil }
        if let slash = settings.signingKeyPath.lastIndex(of: "/") {
            try store.files.createDirectory(String(settings.signingKeyPath[..<slash]))
        }
        try store.writeText(signer.keyFile + "\n", to: settings.signingKeyPath)
        return signer
    }
}

extension String {
    /// Without the newline that ends a file's one line.
    var trimmed: String { hasSuffix("\n") ? String(dropLast()) : self }
}
