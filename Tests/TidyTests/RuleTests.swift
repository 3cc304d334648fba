import Testing

/// Each rule on a snippet that breaks it and on one that comes close: a checker that finds nothing proves nothing.
@Suite struct RuleTests {
    private func file(_ text: String, at path: String = "Sources/FaceModel/Snippet.swift") -> SourceFile {
        SourceFile(path: path, text: text)
    }

    @Test func commentsAndStringsAreBlanked() {
        let text = ##"""
            let a = "x!" // y!
            /* b! /* c! */ d! */ let e = #"f"! "g\(h)"# + "i\(j("k!").l)m!"
            let n = """
                o! "p"! \(q)
                """
            let r = #/s"!/# ; let t = "\\" ; u
            """##
        let code = SourceFile(path: "x", text: text).code
        #expect(!code.contains("!"))
        #expect(code.utf8.count == text.utf8.count)
        for kept in ["let a =", "let e =", "j(", ".l)", "let n =", "q", "let r =", "let t =", "; u"] {
            #expect(code.contains(kept), "\(kept) is code")
        }
        for gone in ["x", "b", "f", "h", "k", "m", "o", "s"] {
            #expect(!code.split { !$0.isLetter }.contains(Substring(gone)), "\(gone) is not code")
        }
    }

    @Test(arguments: [
        ("import Foundation", "FaceModel", true), ("package import FaceModel", "StorageIO", true),
        ("@preconcurrency import struct Foundation.Date", "WriteAheadLog", true),
        ("import ShardEngine", "Coordinator", true), ("import Coordinator", "ShardEngine", true),
        ("import Anything", "NewTarget", true), ("import Glibc", "FaceModel", false),
        ("package import FaceModel", "SegmentStore", false), ("import Synchronization", "ClusterModel", false),
        ("// import Foundation", "FaceModel", false), ("import Foundation", "ControlPlane", false),
    ])
    func importTable(text: String, target: String, isBanned: Bool) {
        let found = ImportRules.violations(in: file(text, at: "Sources/\(target)/Snippet.swift"))
        #expect(found.isEmpty != isBanned)
    }

    @Test func lengthsOfFunctions() throws {
        let body = String(repeating: "    call()\n", count: 69)
        for start in ["func f() {", "init(a: Int) {", "package static func g<T>(\n    a: T\n) -> T {"] {
            let long = file(start + "\n" + body + "}\n")
            let found = try #require(LengthRules.violations(in: long).first)
            #expect(found.line == (start.hasPrefix("package") ? 1 : 1))
        }
        #expect(LengthRules.violations(in: file("struct S {\n" + body + body + "}\n")).isEmpty)
        #expect(LengthRules.violations(in: file("func f() {\n    call()\n}\n")).isEmpty)
        let nested = file("func f(a: () -> Void = {}) {\n    g { x in\n        h(b: { y in y })\n    }\n}\n")
        #expect(LengthRules.functions(in: nested).map(\.lines) == [5])
        let initialiser = file("let a = b { c in\n    T.init(d: c)\n}\n")
        #expect(LengthRules.functions(in: initialiser).isEmpty)
    }

    @Test func lengthsOfFiles() {
        let line = "let a = 1\n"
        #expect(LengthRules.violations(in: file(String(repeating: line, count: 600))).isEmpty)
        #expect(LengthRules.violations(in: file(String(repeating: line, count: 601))).count == 1)
    }

    @Test(arguments: [
        "let a = Date()", "let a = ContinuousClock.now", "wait(until: .now + .seconds(1))",
        "var g = SystemRandomNumberGenerator()", "let a = Int.random(in: 0..<9)", "b.shuffled()", "Task { c() }",
        "try await Task.sleep(for: .seconds(1))", "let a = UUID()", "getenv(name)",
    ])
    func impureCallsAreFoundBelowLevelThreeOnly(text: String) {
        #expect(!CallRules.violations(in: file(text)).isEmpty)
        #expect(CallRules.violations(in: file(text, at: "Sources/ShardEngine/Snippet.swift")).isEmpty)
    }

    @Test(arguments: [
        "let a = b!", "let a = b()!.c", "let a = d[0]! + 1", "var a: Int!", "try! b()", "c as! D",
        "final class A: @unchecked Sendable {}", "print(a)", "// Because\nfinal class A: @unchecked Sendable {}",
    ])
    func trapsAndPrintsAreFoundEverywhere(text: String) {
        #expect(CallRules.violations(in: file(text, at: "Sources/ShardEngine/Snippet.swift")).count == 1)
        #expect(CallRules.violations(in: file(text, at: "Tests/ATests/Snippet.swift")).count == 1)
    }

    @Test(arguments: [
        "if a != b, !c, !(d) {}", "let a = Int.random(in: 0..<9, using: &generator)", "blueprint(a)", "a.print(b)",
        "// Safe because immutable.\nfinal class A: @unchecked Sendable {}", "let a = \"b!\"", "x !== y",
        "// Safe because\n// of a lock.\nfinal class A: @unchecked Sendable {}", "nowhere()", "let known = 1",
    ])
    func innocentCallsPass(text: String) {
        #expect(CallRules.violations(in: file(text)).isEmpty)
    }

    @Test func facectlMayPrint() {
        #expect(CallRules.violations(in: file("print(a)", at: "Sources/facectl/Snippet.swift")).isEmpty)
    }

    @Test func publicIsFound() {
        for text in ["public struct A {}", "@inlinable func b() {}", "@_exported import C"] {
            #expect(AccessRules.violations(in: file(text)).count == 1)
        }
        #expect(AccessRules.violations(in: file("let republic = \"public\" // public")).isEmpty)
    }

    @Test func markersPathsAndHostsAreFound() {
        let bad = [
            "// TO" + "DO: later", "see /wo" + "rk/main", "cd /ro" + "ot/x", "https://deb.deb" + "ian.org/debian",
            "http://py" + "pi.org/simple", "https://files.python" + "hosted.org/a",
        ]
        for text in bad {
            #expect(TextRules.violations(path: "docs/a.md", text: "first\n" + text).map(\.line) == [2])
        }
        let good = ["a network/disk", "the root/child", "Debian's mirror", "https://github.com/a/b", "TO" + "DOs"]
        for text in good {
            #expect(TextRules.violations(path: "docs/a.md", text: text).isEmpty)
        }
    }
}
