package import FaceModel

/// What is recorded before a search runs: who asks, why, with what.
package struct SearchIntent: Hashable, Sendable {
    package var search: SearchID
    package var time: Timestamp
    package var tenant: TenantID
    package var accessKey: AccessKeyID
    package var person: String
    /// "SearchFacesByImage", "SearchFaces", "SearchByVector".
    package var operation: String
    package var purpose: String?
    package var caseNumber: String?
    package var authority: String?
    package var source: String?
    /// SHA-256 of the probe: the image's bytes, the FaceId's text, or the vector's bytes.
    package var probeDigest: [UInt8]
    package var collections: [String]
    package var modelVersion: String
    package var modelDigest: [UInt8]
    /// Similarity 0...100, or nil when a cosine was asked.
    package var similarityAsked: Double?
    package var cosineAsked: Float?
    package var maxCandidates: Int

    package init(
        search: SearchID, time: Timestamp, tenant: TenantID, accessKey: AccessKeyID, person: String,
        operation: String, purpose: String?, caseNumber: String?, authority: String?, source: String?,
        probeDigest: [UInt8], collections: [String], modelVersion: String, modelDigest: [UInt8],
        similarityAsked: Double?, cosineAsked: Float?, maxCandidates: Int
    ) {
        self.search = search
        self.time = time
        self.tenant = tenant
        self.accessKey = accessKey
        self.person = person
        self.operation = operation
        self.purpose = purpose
        self.caseNumber = caseNumber
        self.authority = authority
        self.source = source
        self.probeDigest = probeDigest
        self.collections = collections
        self.modelVersion = modelVersion
        self.modelDigest = modelDigest
        self.similarityAsked = similarityAsked
        self.cosineAsked = cosineAsked
        self.maxCandidates = maxCandidates
    }
}

/// What is recorded before an answer leaves: what was searched, what was found.
package struct SearchResult: Hashable, Sendable {
    package struct Candidate: Hashable, Sendable {
        package var face: FaceID
        package var score: Float
        package init(face: FaceID, score: Float) {
            self.face = face
            self.score = score
        }
    }
    package enum Outcome: Hashable, Sendable {
        case answered
        /// The client got an error instead; its AWS code.
        case failed(code: String)
    }
    package var search: SearchID
    package var time: Timestamp
    package var tenant: TenantID
    package var outcome: Outcome
    package var cosineApplied: Float
    package var similarityApplied: Double?
    package var mode: String
    package var facesScored: Int
    package var shardsAsked: Int
    package var shardsAnswered: Int
    package var expectedStrangers: Double?
    package var candidates: [Candidate]

    package init(
        search: SearchID, time: Timestamp, tenant: TenantID, outcome: Outcome, cosineApplied: Float,
        similarityApplied: Double?, mode: String, facesScored: Int, shardsAsked: Int, shardsAnswered: Int,
        expectedStrangers: Double?, candidates: [Candidate]
    ) {
        self.search = search
        self.time = time
        self.tenant = tenant
        self.outcome = outcome
        self.cosineApplied = cosineApplied
        self.similarityApplied = similarityApplied
        self.mode = mode
        self.facesScored = facesScored
        self.shardsAsked = shardsAsked
        self.shardsAnswered = shardsAnswered
        self.expectedStrangers = expectedStrangers
        self.candidates = candidates
    }
}

package enum LedgerEntry: Hashable, Sendable {
    case intent(SearchIntent)
    case result(SearchResult)
    /// A suspension, its end, or a revoked key.
    case order(StandingOrder)

    /// An order's own id.
    package var search: SearchID {
        switch self {
        case .intent(let intent): intent.search
        case .result(let result): result.search
        case .order(let order): order.id
        }
    }
    package var tenant: TenantID {
        switch self {
        case .intent(let intent): intent.tenant
        case .result(let result): result.tenant
        case .order(let order): order.tenant
        }
    }
}

/// A search as the ledger tells it to those who may know: the opened private records and their proofs.
package struct SearchRecord: Sendable {
    package var intent: SearchIntent?
    package var result: SearchResult?
    /// Where the id is an order's.
    package var order: StandingOrder?
    package var leaves: [LeafProof]
    package init(
        intent: SearchIntent?, result: SearchResult?, order: StandingOrder? = nil, leaves: [LeafProof]
    ) {
        self.intent = intent
        self.result = result
        self.order = order
        self.leaves = leaves
    }
}

/// Everything a stranger needs to check that one leaf stands in the tree of a signed checkpoint.
package struct LeafProof: Hashable, Sendable {
    package var index: UInt64
    package var leaf: [UInt8]
    /// RFC 9162 inclusion path, deepest sibling first; each 32 bytes.
    package var path: [[UInt8]]
    package var treeSize: UInt64
    package var rootHash: [UInt8]
    /// The C2SP signed note, text.
    package var checkpoint: String
    package init(
        index: UInt64, leaf: [UInt8], path: [[UInt8]], treeSize: UInt64, rootHash: [UInt8], checkpoint: String
    ) {
        self.index = index
        self.leaf = leaf
        self.path = path
        self.treeSize = treeSize
        self.rootHash = rootHash
        self.checkpoint = checkpoint
    }
}

package struct LedgerStatus: Hashable, Sendable {
    package var treeSize: UInt64
    package var rootHash: [UInt8]
    /// C2SP verifier key ("name+hash+base64").
    package var verifierKey: String
    /// Missing while the ledger takes entries; else why not. No entry, no answer.
    package var refusing: String?
    package init(treeSize: UInt64, rootHash: [UInt8], verifierKey: String, refusing: String?) {
        self.treeSize = treeSize
        self.rootHash = rootHash
        self.verifierKey = verifierKey
        self.refusing = refusing
    }
}

package enum LedgerError: Error, Hashable, Sendable {
    /// Not writable now (disk full, inbox full): searches are refused until it is.
    case refusing(reason: String)
    case damaged(reason: String)
    case stopped(reason: String)
    /// The node that keeps the ledger does not answer; the entry may or may not stand in it.
    case unreachable(reason: String)
    /// The account is suspended; nothing of it is answered.
    case suspended(since: Timestamp)
    /// The access key is revoked; nothing it signs is answered.
    case keyRevoked
}

/// What every request to the ledger carries beside its entry.
package struct LedgerCall: Hashable, Sendable {
    package var deadline: ContinuousClock.Instant
    package var request: RequestID
    package init(deadline: ContinuousClock.Instant, request: RequestID) {
        self.deadline = deadline
        self.request = request
    }
}

/// The audit log as coordinators reach it. An entry is durable when `append` returns: no entry, no answer.
package protocol LedgerService: Sendable {
    /// Returns the leaf's index.
    func append(_ entry: LedgerEntry, _ call: LedgerCall) async throws(LedgerError) -> UInt64
    /// Nil when the tenant has no such search.
    func record(
        of search: SearchID, tenant: TenantID, _ call: LedgerCall
    ) async throws(LedgerError) -> SearchRecord?
    /// Throws only when the node that keeps the ledger does not answer.
    func status(_ call: LedgerCall) async throws(LedgerError) -> LedgerStatus
    /// Who may not use the service: holds all that was acknowledged before the call.
    func standing(_ call: LedgerCall) async throws(LedgerError) -> Standing
}
