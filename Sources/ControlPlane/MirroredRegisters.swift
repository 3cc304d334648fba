import ClusterModel

/// Every register as of `revision`, and some as of later: those that this process wrote or asked for itself.
///
/// Invariants: a path never goes back to an older revision; what `ahead` names is newer than `revision`.
struct MirroredRegisters: Sendable {
    private enum Entry {
        case register(Register)
        case unreadable(UnreadableRegister)

        var revision: Revision {
            switch self {
            case .register(let register): register.revision
            case .unreadable(let register): register.revision
            }
        }
    }

    private(set) var revision: Revision
    private var entries: [String: Entry] = [:]
    private var ahead: [String: Revision] = [:]
    /// The paths in order; made when a list is asked for, dropped when one comes or goes.
    private var order: [String]?

    init(_ snapshot: RegisterSnapshot) {
        revision = snapshot.revision
        for register in snapshot.registers { entries[register.value.key.path] = .register(register) }
        for register in snapshot.unreadable { entries[register.path] = .unreadable(register) }
    }

    var count: Int { entries.count }

    var unreadable: [UnreadableRegister] {
        entries.values.compactMap { if case .unreadable(let register) = $0 { register } else { nil } }
            .sorted { $0.path < $1.path }
    }

    /// Nil: not here, which does not say that it does not exist.
    func read(_ key: RegisterKey) throws(ControlPlaneError) -> Register? {
        try entries[key.path].map(Self.readable)
    }

    func revision(of key: RegisterKey) -> Revision? { entries[key.path]?.revision }

    /// In the order of the paths.
    mutating func list(_ family: RegisterFamily) throws(ControlPlaneError) -> [Register] {
        let order = self.order ?? entries.keys.sorted()
        self.order = order
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if order[middle] < family.prefix { low = middle + 1 } else { high = middle }
        }
        var registers: [Register] = []
        for path in order[low...] {
            guard path.hasPrefix(family.prefix), let entry = entries[path] else { break }
            registers.append(try Self.readable(entry))
        }
        return registers
    }

    mutating func apply(_ changes: RegisterChanges) {
        for register in changes.put { follow(register.value.key.path, .register(register), register.revision) }
        for register in changes.unreadable { follow(register.path, .unreadable(register), register.revision) }
        for path in changes.deleted { follow(path, nil, changes.revision) }
        revision = max(revision, changes.revision)
        ahead = ahead.filter { $0.value > revision }
    }

    /// What this process committed is here before its change comes.
    mutating func apply(_ transaction: RegisterTransaction, committed: Revision) {
        for change in transaction.changes {
            switch change {
            case .put(let value, _):
                lead(value.key.path, .register(Register(value: value, revision: committed)), committed)
            case .delete(let key, _):
                lead(key.path, nil, committed)
            case .unchanged: break
            }
        }
    }

    /// What the store answered to a question of this process, put while the register here was at revision `before`.
    mutating func apply(_ answer: Register?, for key: RegisterKey, before: Revision?) {
        if let answer {
            lead(key.path, .register(answer), answer.revision)
        } else if let before, entries[key.path]?.revision == before {
            // No register comes back at a revision it had: this one is gone for good.
            set(key.path, nil)
        }
    }

    private mutating func follow(_ path: String, _ entry: Entry?, _ changed: Revision) {
        guard changed >= ahead[path] ?? .absent else { return }
        set(path, entry)
    }

    private mutating func lead(_ path: String, _ entry: Entry?, _ changed: Revision) {
        guard changed > revision, changed > ahead[path] ?? .absent else { return }
        ahead[path] = changed
        set(path, entry)
    }

    private mutating func set(_ path: String, _ entry: Entry?) {
        if (entries.updateValue(entry, at: path) == nil) != (entry == nil) { order = nil }
    }

    private static func readable(_ entry: Entry) throws(ControlPlaneError) -> Register {
        switch entry {
        case .register(let register): return register
        case .unreadable(let register): throw .unreadable(path: register.path, reason: register.reason)
        }
    }
}

extension Dictionary {
    /// Sets or removes, and returns what was there.
    fileprivate mutating func updateValue(_ value: Value?, at key: Key) -> Value? {
        if let value { updateValue(value, forKey: key) } else { removeValue(forKey: key) }
    }
}
