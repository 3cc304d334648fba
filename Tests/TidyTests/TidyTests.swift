import Crypto
import Foundation
import Testing

/// The project's rules of style that a program can check, on the project's own tree.
@Suite struct TidyTests {
    private static let files = Result { try SourceTree.swiftFiles() }

    private func check(_ rule: (SourceFile) -> [Violation]) throws {
        let files = try Self.files.get()
        try #require(files.count > 50, "the source tree was not found at \(SourceTree.root.path())")
        let violations = files.flatMap(rule)
        #expect(violations.isEmpty, "\(violations.map { "\n\($0)" }.joined())")
    }

    @Test func everyTargetImportsOnlyWhatItsRowAllows() throws {
        try check { ImportRules.violations(in: $0) }
    }

    /// A mistake planted by the simulation is no option of the product.
    @Test func theProductNamesNoMutant() throws {
        try check { file in
            guard let target = file.target, target != "Replication" else { return [] }
            return file.linesWithCode("utant").map { Violation(file.path, $0, "names a mutant") }
        }
    }

    @Test func filesAndFunctionsAreShort() throws {
        try check { LengthRules.violations(in: $0) }
    }

    @Test func bannedCallsAreAbsent() throws {
        try check { CallRules.violations(in: $0) }
    }

    @Test func nothingIsPublic() throws {
        try check { AccessRules.violations(in: $0) }
    }

    @Test func textsNameNoMachineAndLeaveNoMarker() throws {
        let violations = try SourceTree.textFiles().flatMap { TextRules.violations(path: $0.path, text: $0.text) }
        #expect(violations.isEmpty, "\(violations.map { "\n\($0)" }.joined())")
    }

    @Test func everySourceFolderHasARowAndEveryRowAFolder() throws {
        let folders = try FileManager.default.contentsOfDirectory(
            atPath: SourceTree.root.appending(path: "Sources").path())
        #expect(Set(folders) == Set(ImportRules.allowed.keys).union(ImportRules.foreign))
        #expect(ImportRules.pure.isSubset(of: ImportRules.allowed.keys))
    }

    /// CI does not build the benchmarks, and what they take from the tests by a link changes with the tests.
    @Test func benchmarksImportWhatTheirPackageNames() throws {
        let package = try SourceTree.text(of: "Benchmarks/Package.swift")
        let system: Set<String> = ["Dispatch", "Foundation", "Glibc", "Synchronization"]
        let folders = ["engine", "transport"].map { "Benchmarks/Sources/\($0)-bench" }
        for path in try SourceTree.files(below: folders) where path.hasSuffix(".swift") {
            let file = SourceFile(path: path, text: try SourceTree.text(of: path))
            for (line, module) in ImportRules.imports(of: file) where !system.contains(module) {
                #expect(package.contains("\"\(module)\""), "\(path):\(line): no package gives \(module)")
            }
        }
    }

    /// `scripts/protos.sh` writes both: a schema changed without its Swift, or Swift changed by hand, is found here.
    @Test func generatedSwiftIsThatOfTheSchema() throws {
        let lines = try SourceTree.text(of: "Protos/generated.sha256").split(separator: "\n")
        var listed: Set<String> = []
        for line in lines {
            let (digest, path) = (String(line.prefix(64)), String(line.dropFirst(66)))
            let text = try SourceTree.text(of: path)
            let found = SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined()
            #expect(found == digest, "\(path) is not what scripts/protos.sh saw; run it")
            listed.insert(path)
        }
        let there = try SourceTree.files(below: ["Protos", "Sources/ClusterTransport/Generated"])
        #expect(listed == Set(there).subtracting(["Protos/generated.sha256"]))
    }
}
