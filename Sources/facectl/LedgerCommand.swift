import ArgumentParser
import AuditLedger
import Foundation
import KeyHierarchy
import ShardEngine
import StorageIO

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Verify the ledger; show and prove searches.",
        subcommands: [Verify.self, Show.self, Prove.self])

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Recompute the whole ledger from its files, whether the server runs or not.")
        @OptionGroup var data: DataOptions
        @Option(
            help: "The verifier key to trust; without it, the one beside the ledger, which an editor could replace.")
        var key: String?
        @Option(help: "A file with a checkpoint kept elsewhere; it shows what was cut off with its own checkpoints.")
        var witness: [String] = []
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let directory = DataDirectory(path: data.data, files: POSIXFileSystem())
            guard FileManager.default.fileExists(atPath: directory.ledger) else {
                throw Failure(text: "there is no ledger in \(data.data); --data names another directory")
            }
            let witnessed = try witness.map { path in
                guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
                    throw Failure(text: "the checkpoint \(path) cannot be read")
                }
                return text
            }
            // Without the key file private records are checked for rot alone; whoever verifies may not have it.
            let recordKey =
                FileManager.default.fileExists(atPath: directory.keyFile)
                ? try? directory.masterKey().ledgerRecordKey : nil
            let report = LedgerInspection.verify(
                directory: directory.ledger, verifierKey: key, recordKey: recordKey, witnessed: witnessed,
                on: POSIXFileSystem())
            if output.json { try Output.json(json(report)) } else { show(report) }
            if report.fault != nil { throw ExitCode(3) }
        }

        private func show(_ report: LedgerInspection.Report) {
            if let fault = report.fault {
                Output.line("NOT WHOLE   \(fault)")
            } else {
                Output.line("whole       \(report.leaves) leaves, \(report.checkpoints) signed checkpoints checked")
            }
            Output.line("records     \(report.privatesOpened) opened, \(report.privatesDestroyed) destroyed")
            Output.line("root        \(Data(report.root).base64EncodedString())")
            Output.line("key         \(report.verifierKey)")
            for note in report.notes { Output.line("note        \(note)") }
        }

        private func json(_ report: LedgerInspection.Report) -> [String: Any] {
            var object: [String: Any] = [
                "Whole": report.fault == nil, "Leaves": report.leaves, "Checkpoints": report.checkpoints,
                "ProvenSize": report.provenSize, "RecordsOpened": report.privatesOpened,
                "RecordsDestroyed": report.privatesDestroyed, "RootHash": Data(report.root).base64EncodedString(),
                "VerifierKey": report.verifierKey, "Notes": report.notes,
            ]
            object["Fault"] = report.fault?.description
            return object
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a search: who asked what and why, what they got.")
        @Argument(help: "The search's id, as its answer gave it.") var search: String
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let reply = try await server.connect().call("FacetService.GetSearchRecord", ["SearchId": search])
            if output.json { return try Output.json(reply.json) }
            let record = Document(reply.json)
            let (intent, result) = (record.document("Intent"), record.document("Result"))
            let leaves = record.documents("Leaves").compactMap { $0.integer("Index") }.map(String.init)
            for (name, value) in rows(intent) + rows(result: result) {
                Output.line(name.padding(toLength: 20, withPad: " ", startingAt: 0) + value)
            }
            Output.line("ledger leaves       \(leaves.joined(separator: ", "))")
        }

        private func rows(_ intent: Document) -> [(String, String)] {
            [
                ("search", search), ("time", intent.number("Time").map(Output.time) ?? "-"),
                ("person", intent.text("Person") ?? "-"), ("access key", intent.text("AccessKey") ?? "-"),
                ("account", intent.text("Tenant") ?? "-"), ("operation", intent.text("Operation") ?? "-"),
                ("purpose", intent.text("Purpose") ?? "none stated"), ("case", intent.text("Case") ?? "none stated"),
                ("collections", intent.texts("Collections").joined(separator: ", ")),
                ("model", intent.text("ModelVersion") ?? "-"), ("probe (SHA-256)", intent.text("ProbeDigest") ?? "-"),
            ]
        }

        private func rows(result: Document) -> [(String, String)] {
            guard result.has("Outcome") else { return [("outcome", "no result on record: no answer was given")] }
            let candidates = result.documents("Candidates")
            return [
                ("outcome", result.text("Outcome") ?? "-"),
                (
                    "threshold",
                    "similarity \(result.number("SimilarityApplied").map { Output.decimal($0, 1) } ?? "-"), cosine "
                        + Output.decimal(result.number("CosineApplied") ?? 0, 4)
                ),
                ("faces scored", "\(result.integer("FacesScored") ?? 0), \(result.text("Mode") ?? "-")"),
                ("strangers expected", result.number("ExpectedStrangers").map(Output.strangers) ?? "-"),
                ("candidates", "\(candidates.count)"),
            ]
                + candidates.map {
                    ("", "\($0.text("FaceId") ?? "-")  cosine \(Output.decimal($0.number("Cosine") ?? 0, 4))")
                }
        }
    }

    struct Prove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetch the proof that a search stands in the signed ledger, and check it here.")
        @Argument(help: "The search's id.") var search: String
        @Option(help: "The verifier key to trust; without it, the one the server names.") var key: String?
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let connection = try server.connect()
            let reply = try await connection.call("FacetService.GetInclusionProof", ["SearchId": search])
            let text: String
            if let key {
                text = key
            } else {
                let status = Document(try await connection.call("FacetService.GetStatus", [:]).json)
                text = status.document("Ledger").text("VerifierKey") ?? ""
            }
            guard let verifier = VerifierKey(text: text) else { throw Failure(text: "'\(text)' is not a verifier key") }
            let proofs = Document(reply.json).documents("Leaves")
            guard !proofs.isEmpty else { throw Failure(text: "the server sent no proof for \(search)") }
            var checkpoint = ""
            var kinds: Set<Leaf.Kind> = []
            for proof in proofs {
                let check = ProofCheck(proof)
                checkpoint = try check.verify(verifier)
                kinds.insert(try check.leaf(of: search).kind)
            }
            guard kinds.contains(.intent) else {
                throw Failure(text: "the server sent no proof of the intent of \(search)", exitCode: 3)
            }
            if output.json { return try Output.json(reply.json.merging(["Verified": true]) { _, new in new }) }
            for proof in proofs { show(proof) }
            Output.line("key         \(verifier.text)")
            Output.line("verified    both the path to the root and the signature were checked here")
            Output.line("Keep this checkpoint: whoever has it can show a later change of anything before it.")
            Output.line()
            Output.line(checkpoint.trimmingCharacters(in: .newlines))
        }

        private func show(_ proof: Document) {
            Output.line(
                "leaf \(proof.integer("Index") ?? 0) of \(proof.integer("TreeSize") ?? 0): path of "
                    + "\(proof.texts("Path").count) hashes to the root")
        }
    }
}

/// One inclusion proof as it came over the wire.
private struct ProofCheck {
    private let proof: Document

    init(_ proof: Document) { self.proof = proof }

    /// Returns the checkpoint's text; throws when anything does not fit.
    func verify(_ key: VerifierKey) throws -> String {
        let note = proof.text("Checkpoint") ?? ""
        guard let checkpoint = key.open(note) else {
            throw Failure(text: "the checkpoint is not signed by \(key.name): do not trust this proof", exitCode: 3)
        }
        guard let leaf = bytes(proof.text("Leaf")), let index = proof.integer("Index"), index >= 0 else {
            throw Failure(text: "the proof has no leaf or no index", exitCode: 3)
        }
        let path = try proof.texts("Path").map { text in
            guard let hash = bytes(text), hash.count == MerkleHash.byteCount else {
                throw Failure(text: "the proof's path holds what is no hash", exitCode: 3)
            }
            return MerkleHash(hash)
        }
        guard
            MerkleProof.verifyInclusion(
                leaf: .leaf(leaf), index: UInt64(index), size: checkpoint.size, path: path, root: checkpoint.root)
        else {
            throw Failure(text: "leaf \(index) is NOT in the tree the checkpoint signs", exitCode: 3)
        }
        return note
    }

    /// The proven leaf; throws when it is another search's, whose proof would be just as good.
    func leaf(of search: String) throws -> Leaf {
        guard let leaf = bytes(proof.text("Leaf")).flatMap(Leaf.init(bytes:)) else {
            throw Failure(text: "what was proved is no ledger leaf", exitCode: 3)
        }
        guard leaf.search.description == search else {
            throw Failure(text: "what was proved is the leaf of search \(leaf.search), not of \(search)", exitCode: 3)
        }
        return leaf
    }

    private func bytes(_ text: String?) -> [UInt8]? {
        text.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) }
    }
}
