import ArgumentParser
import Foundation

struct SearchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search", abstract: "Search a collection with a photo; the search goes on record.")

    @Argument(help: "A JPEG or PNG. Its largest face is searched.") var photo: String
    @Option(help: "The collection to search.") var collection: String
    @Option(help: "Why you search, in your institution's words.") var purpose: String
    @Option(name: .customLong("case"), help: "The case the search belongs to.") var caseNumber: String
    @Option(help: "Least similarity of a candidate, 0 to 100.") var threshold: Double = 80
    @Option(help: "Most candidates to list, 1 to 4096.") var max = 10
    @Option(help: "How to search: exhaustive, certain or routed (docs/api.md).") var mode: String?
    @Option(help: "Of a routed search: how often the best mate must be among what is compared, 0.5 to 0.999.")
    var coverage: Double?
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        guard let image = FileManager.default.contents(atPath: photo) else {
            throw Failure(text: "the photo \(photo) cannot be read")
        }
        var headers = ["x-facet-purpose": purpose, "x-facet-case": caseNumber]
        headers["x-facet-search-mode"] = mode
        headers["x-facet-target-coverage"] = coverage.map { "\($0)" }
        let reply = try await server.connect().call(
            "RekognitionService.SearchFacesByImage",
            [
                "CollectionId": collection, "Image": ["Bytes": image.base64EncodedString()], "MaxFaces": max,
                "FaceMatchThreshold": threshold,
            ],
            headers: headers)
        let search = reply.headers["x-facet-search-id"] ?? ""
        let strangers = reply.headers["x-facet-expected-strangers"].flatMap(Double.init)
        if output.json {
            var json = reply.json
            json["SearchId"] = search
            json["ExpectedStrangers"] = strangers
            json["Coverage"] = reply.headers["x-facet-coverage"]
            return try Output.json(json)
        }
        show(Document(reply.json).documents("FaceMatches"), strangers)
        Output.line("search      \(search)   (facectl ledger show \(search))")
        Output.line("coverage    \(reply.headers["x-facet-coverage"] ?? "-")")
    }

    private func show(_ candidates: [Document], _ strangers: Double?) {
        Output.line("Candidates: leads, not identification.")
        if candidates.isEmpty {
            Output.line("None at similarity \(Output.decimal(threshold, 1)) or more.")
        } else {
            Output.table(
                ["RANK", "SIMILARITY", "EXTERNAL IMAGE ID", "FACE ID"],
                candidates.enumerated().map { rank, candidate in
                    let face = candidate.document("Face")
                    return [
                        "\(rank + 1)", Output.decimal(candidate.number("Similarity") ?? 0, 2),
                        face.text("ExternalImageId") ?? "-", face.text("FaceId") ?? "-",
                    ]
                }, rightAligned: [0, 1])
        }
        if let strangers {
            Output.line(
                "strangers   \(Output.strangers(strangers)) people who are not the one searched are to be expected at "
                    + "this threshold")
        }
    }
}
