import AccessControl
import AuditLedger
import ClusterModel
import Coordinator
import FaceModel
import Foundation

/// The one translation of Facet's errors to AWS's. Exhaustive: a new case does not compile until it has its place here.
extension APIError {
    init(_ error: CoordinatorError) {
        switch error {
        case .collectionNotFound(let name):
            self.init(.resourceNotFound, "The collection id: \(name) does not exist")
        case .collectionExists(let name):
            self.init(.resourceExists, "The collection id: \(name) already exists.")
        case .collectionQuota(let limit):
            self.init(.serviceQuota, "This account has \(limit) collections, which is the limit.")
        case .shardCount(let asked, let max):
            self.init(
                .invalidParameter, "Request has invalid parameters. Shards is \(asked); allowed is 1 to \(max).")
        case .noNodes:
            self.init(
                .throughput,
                "Provisioned Rate exceeded. No shard node answers, so no shard can be made; try again later.")
        case .tooFewNodes(let copies, let nodes):
            self.init(
                .throughput,
                "Provisioned Rate exceeded. A shard has \(copies) copies, each on a node of its own, and \(nodes) nodes "
                    + "answer, so no shard can be made; try again later.")
        case .faceNotFound(let face):
            self.init(.invalidParameter, "Request has invalid parameters. FaceId: \(face) is not in the collection.")
        case .noFaces:
            // Clients compare this sentence.
            self.init(.invalidParameter, "There are no faces in the image. Should be at least 1.")
        case .image(let error): self.init(error)
        case .vector(let index, let error):
            self.init(.invalidParameter, "Request has invalid parameters. Vector \(index): \(error.sentence).")
        case .otherModel(let collection, let theirs, let ours):
            self.init(
                .invalidParameter,
                "The collection \(collection) was made for model \(theirs); this server runs \(ours). Search it by "
                    + "vector, or enrol its photos into a new collection.")
        case .noSimilarity(let version):
            self.init(
                .invalidParameter,
                "Model version \(version) has no calibration, so it has no similarity: use FacetService.SearchByVector "
                    + "with CosineThreshold.")
        case .session(let problem): self.init(problem)
        case .invalidPageToken: self.init(.invalidPaginationToken, "Invalid Pagination Token")
        case .keyUnusable(let what): self.init(.internal, "Internal server error: \(what).")
        case .ledger(let error): self.init(error)
        case .standingUnknown(let error):
            self.init(
                .internal,
                "No request is answered until the ledger says who is suspended, and it does not: \(error.sentence)")
        case .incomplete(let asked, let answered, let missing):
            self.init(missing, "\(answered) of \(asked) shards answered, which is no answer")
        case .incompleteWrite(let asked, let written, let missing):
            self.init(
                missing,
                "\(written) of \(asked) shards have written. The same request again completes it and does no harm")
        case .shardNotFound(let shard):
            self.init(.resourceNotFound, "The shard \(shard) is none of this account's collections'.")
        case .impossibleMove(let reason), .impossibleRecovery(let reason):
            self.init(.invalidParameter, "Request has invalid parameters. \(reason).")
        case .controlPlane(let error): self.init(error)
        }
    }

    /// Names every missing shard once, in one sentence that begins with `what` came of it.
    private init(_ missing: [MissingShard], _ what: String) {
        if missing.count == 1, case .wrongDimension(let expected, let got) = missing[0].reason {
            self.init(
                .invalidParameter, "Request has invalid parameters. A vector has \(got) components, not \(expected).")
            return
        }
        let passing = missing.allSatisfy { $0.reason.passes }
        let reasons = missing.map(\.description).joined(separator: "; ")
        self.init(
            passing ? .throughput : .internal,
            "\(passing ? "Provisioned Rate exceeded." : "Internal server error:") \(what): \(reasons).")
    }

    private init(_ problem: SessionProblem) {
        let sentence =
            switch problem {
            case .otherCollection:
                "The header x-facet-session is of another collection, or of one of this name that is gone."
            case .beforeLoss(let shard):
                "The header x-facet-session is from before an operator accepted a loss of shard \(shard): what it has seen "
                    + "may be gone. Begin a new session."
            case .routedNeedsStrong: "The header x-facet-consistency must be strong for a routed search."
            }
        self.init(.invalidParameter, "Request has invalid parameters. \(sentence)")
    }

    private init(_ error: ExtractionError) {
        switch error {
        case .undecodable(let reason):
            self.init(.invalidImageFormat, "Request has invalid image format. \(reason)")
        case .tooLarge(let reason): self.init(.imageTooLarge, "Image size is too large. \(reason)")
        case .unavailable(let reason):
            self.init(.throughput, "Provisioned Rate exceeded. No face extractor is free: \(reason)")
        }
    }

    private init(_ error: LedgerError) {
        switch error {
        case .refusing(let reason):
            self.init(
                .throughput, "No search is answered without a ledger entry, and the ledger takes none now: \(reason)")
        case .damaged(let reason):
            self.init(.internal, "No search is answered: the ledger is damaged: \(reason)")
        case .stopped(let reason):
            self.init(.internal, "No search is answered: the ledger has stopped: \(reason)")
        case .unreachable(let reason):
            self.init(.internal, "No search is answered without a ledger entry, and the ledger is away: \(reason)")
        case .suspended(let since):
            let time = Date(timeIntervalSince1970: Double(since.milliseconds) / 1_000).formatted(.iso8601)
            self.init(
                .accessDenied,
                "This account is suspended since \(time): nothing is read, written or searched for it. Those who operate "
                    + "this service suspended it and can resume it.")
        case .keyRevoked: self.init(AuthError.unrecognizedClient)
        }
    }

    private init(_ error: ControlPlaneError) {
        switch error {
        case .unavailable(let reason, _):
            self.init(.internal, "Internal server error: the control plane is unavailable: \(reason)")
        case .unreadable(let path, let reason):
            self.init(.internal, "Internal server error: the register \(path) cannot be read: \(reason)")
        }
    }
}
