package import FaceModel

/// What a person may do; the raw value stands in registers and on the command line.
package enum Role: String, CaseIterable, Hashable, Sendable {
    /// Everything inside its tenant.
    case admin
    /// Makes and deletes collections and faces; searches nobody.
    case enroller
    /// Searches; reads collections and the records of its own searches.
    case searcher
    /// Reads every search record of its tenant, the ledger and collections; searches nobody.
    case auditor
}

/// Who signed a request, as the key's register says.
package struct Principal: Hashable, Sendable {
    package var tenant: TenantID
    package var accessKey: AccessKeyID
    package var person: String
    package var roles: Set<Role>

    package init(tenant: TenantID, accessKey: AccessKeyID, person: String, roles: Set<Role>) {
        self.tenant = tenant
        self.accessKey = accessKey
        self.person = person
        self.roles = roles
    }
}
