package import ClusterModel

/// What a mirror knows, and of when.
package struct MirrorStatus: Sendable {
    /// Registers in memory, those that this version cannot read among them.
    package var registers: Int
    package var unreadable: [UnreadableRegister]
    package var revision: Revision
    /// Missing while it is recent.
    package var staleness: MirrorStaleness?
}

/// How long a mirror has had no word from its store, and why.
package struct MirrorStaleness: Sendable, CustomStringConvertible {
    package var age: Duration
    package var reason: String

    package var description: String {
        "no contact with the control plane for \(age.components.seconds) s: \(reason)"
    }

    var error: ControlPlaneError { .unavailable(reason: description, outcomeUnknown: false) }
}
