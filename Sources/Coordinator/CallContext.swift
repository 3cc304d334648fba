package import FaceModel

/// Who makes a call, as the signature proved it, and why, as the headers say.
package struct CallContext: Sendable {
    package var tenant: TenantID
    package var accessKey: AccessKeyID
    package var person: String
    /// Hash of the access key, the client's invocation id and the body; faces of one request add their position.
    package var token: RequestToken
    package var purpose: SearchPurpose
    package var request: RequestID
    /// Nobody waits for the answer after this.
    package var deadline: ContinuousClock.Instant
    /// `x-facet-partial: allow`: an answer of some shards is wanted where others are missing, and says so.
    package var allowsPartial: Bool
    package var session: ReadSession

    package init(
        tenant: TenantID, accessKey: AccessKeyID, person: String, token: RequestToken, purpose: SearchPurpose,
        request: RequestID, deadline: ContinuousClock.Instant, allowsPartial: Bool,
        session: ReadSession = ReadSession()
    ) {
        self.tenant = tenant
        self.accessKey = accessKey
        self.person = person
        self.token = token
        self.purpose = purpose
        self.request = request
        self.deadline = deadline
        self.allowsPartial = allowsPartial
        self.session = session
    }
}

/// Why a search is made: `x-facet-purpose`, `-case`, `-authority`, `-source`.
package struct SearchPurpose: Hashable, Sendable {
    package var purpose: String?
    package var caseNumber: String?
    package var authority: String?
    package var source: String?

    package init(purpose: String?, caseNumber: String?, authority: String?, source: String?) {
        self.purpose = purpose
        self.caseNumber = caseNumber
        self.authority = authority
        self.source = source
    }
}
