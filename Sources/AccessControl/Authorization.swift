package import FaceModel

/// What an operation does, as far as permission goes.
package enum Action: String, CaseIterable, Hashable, Sendable {
    case createCollection, deleteCollection, describeCollection, listCollections, tagCollection
    case indexFaces, deleteFaces, listFaces
    case searchFaces
    /// Looks at one image or two that the caller brings; nothing enrolled is involved.
    case detectFaces, compareFaces
    /// Private records and proofs of searches.
    case readSearchRecord
    /// Ledger size, root, checkpoints: commitments only.
    case readLedger
    case readStatus
    /// Where copies of shards are, and which of them decides.
    case manageCopies
    /// Stops an account; lets it go on, which only keys of `TenantID.cluster`, the operators' account, may.
    case suspendTenant, resumeTenant

    /// What must go on while an account is suspended, or while nobody can tell whether it is.
    package var isOfOperators: Bool {
        switch self {
        case .readSearchRecord, .readLedger, .readStatus, .manageCopies, .suspendTenant, .resumeTenant: true
        case .createCollection, .deleteCollection, .describeCollection, .listCollections, .tagCollection, .indexFaces,
            .deleteFaces, .listFaces, .searchFaces, .detectFaces, .compareFaces:
            false
        }
    }
}

/// Decides from roles alone; a pure table.
package enum Authorization {
    package enum Decision: Hashable, Sendable {
        case allow
        /// For the client; names action and roles, never a register.
        case deny(reason: String)
    }

    /// `owner` is the tenant of what is acted on; nobody acts on another tenant's.
    package static func decide(_ principal: Principal, _ action: Action, owner: TenantID) -> Decision {
        guard principal.tenant == owner else {
            return .deny(reason: "The access key belongs to another account than the resource.")
        }
        if action == .resumeTenant, principal.tenant != .cluster {
            return .deny(reason: "An account is resumed with a key of the operators' account, \(TenantID.cluster).")
        }
        if principal.roles.contains(where: { $0.allows(action) }) { return .allow }
        let allowing = Role.allCases.filter { $0.allows(action) }.map(\.rawValue).joined(separator: ", ")
        let held = principal.roles.map(\.rawValue).sorted().joined(separator: ", ")
        return .deny(
            reason: "\(action.rawValue) needs one of the roles \(allowing); the access key has "
                + (held.isEmpty ? "none." : "\(held)."))
    }

    package static func decide(_ principal: Principal, _ action: Action) -> Decision {
        decide(principal, action, owner: principal.tenant)
    }
}

extension Role {
    package func allows(_ action: Action) -> Bool {
        switch (self, action) {
        case (.admin, _): true
        case (_, .describeCollection), (_, .listCollections), (_, .listFaces), (_, .readLedger), (_, .readStatus): true
        case (_, .suspendTenant), (_, .resumeTenant): false
        case (.enroller, .createCollection), (.enroller, .deleteCollection), (.enroller, .tagCollection),
            (.enroller, .indexFaces), (.enroller, .deleteFaces), (.enroller, .detectFaces):
            true
        case (.searcher, .searchFaces), (.searcher, .detectFaces), (.searcher, .compareFaces),
            (.searcher, .readSearchRecord):
            true
        case (.auditor, .readSearchRecord): true
        case (.enroller, .searchFaces), (.enroller, .compareFaces), (.enroller, .readSearchRecord): false
        case (.enroller, .manageCopies), (.searcher, .manageCopies), (.auditor, .manageCopies): false
        case (.searcher, .createCollection), (.searcher, .deleteCollection), (.searcher, .tagCollection),
            (.searcher, .indexFaces), (.searcher, .deleteFaces):
            false
        case (.auditor, .createCollection), (.auditor, .deleteCollection), (.auditor, .tagCollection),
            (.auditor, .indexFaces), (.auditor, .deleteFaces), (.auditor, .searchFaces), (.auditor, .detectFaces),
            (.auditor, .compareFaces):
            false
        }
    }
}
