import Foundation
import Replication
import SimulatedCluster

/// `simulate COUNT [FIRST] [MUTANT|none|all]`: runs worlds of the replication core and says what they found.
@main
struct Simulate {
    static func main() {
        if let seed = CommandLine.arguments.dropFirst(2).first.flatMap(UInt64.init), CommandLine.arguments[1] == "story"
        {
            let mutant = CommandLine.arguments.dropFirst(3).first.flatMap(Mutant.init)
            return Campaign.story(of: seed, mutant: mutant, lines: 4_000).forEach(say)
        }
        let arguments = CommandLine.arguments
        let count = UInt64(arguments.dropFirst().first ?? "500") ?? 500
        let first = UInt64(arguments.dropFirst(2).first ?? "1") ?? 1
        let name = arguments.dropFirst(3).first ?? "none"
        let mutants: [Mutant?] = name == "all" ? Mutant.allCases : [Mutant(rawValue: name)]
        var failed = false
        for mutant in mutants {
            let summary = Campaign.run(first: first, count: count, mutant: mutant)
            say(summary.text)
            failed = failed || (mutant == nil) != summary.failures.isEmpty
        }
        exit(failed ? 1 : 0)
    }

    private static func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
}
