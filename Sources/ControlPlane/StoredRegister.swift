import ClusterModel

/// A register as a store keeps it.
struct StoredRegister: Sendable {
    var path: String
    var value: [UInt8]
    var revision: Revision

    func decoded() throws(ControlPlaneError) -> Register {
        Register(value: try RegisterCodec.decode(value, path: path), revision: revision)
    }
}

/// Registers that this version can read beside those that it cannot: one rotten register must not hide the others.
struct DecodedRegisters {
    var readable: [Register] = []
    var unreadable: [UnreadableRegister] = []

    init(_ stored: some Sequence<StoredRegister>) {
        for register in stored {
            do throws(ControlPlaneError) {
                readable.append(try register.decoded())
            } catch {
                unreadable.append(
                    UnreadableRegister(path: register.path, reason: error.reason, revision: register.revision))
            }
        }
    }
}

extension ControlPlaneError {
    /// Why, without which register or whether a transaction may have happened.
    package var reason: String {
        switch self {
        case .unavailable(let reason, _), .unreadable(_, let reason): reason
        }
    }
}

extension RegisterTransaction.Change {
    /// The register that changes or must not have, and the revision it must be at.
    var target: (key: RegisterKey, expecting: Revision) {
        switch self {
        case .put(let value, let expecting): (value.key, expecting)
        case .delete(let key, let expecting), .unchanged(let key, let expecting): (key, expecting)
        }
    }
}

extension RegisterTransaction {
    /// What the port asks of a transaction; a breach is a programming error.
    func checkBounds() {
        precondition(changes.count <= Self.changesMax, "a transaction names at most \(Self.changesMax) registers")
        precondition(
            Set(changes.map(\.target.key)).count == changes.count, "a transaction names a register at most once")
    }
}
