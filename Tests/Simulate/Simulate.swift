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
            return Campaign.story(of: seed, mutant: mutant, lines: 400_000).forEach(say)
        }
        let arguments = CommandLine.arguments
        let count = UInt64(arguments.dropFirst().first ?? "500") ?? 500
        let first = UInt64(arguments.dropFirst(2).first ?? "1") ?? 1
        let name = arguments.dropFirst(3).first ?? "none"
        if name == "all" { exit(everyMutantIsNoticed(count, first) ? 0 : 1) }
        let mutant = Mutant(rawValue: name)
        let summary = Campaign.run(first: first, count: count, mutant: mutant)
        say(summary.text)
        exit((mutant == nil) == summary.failures.isEmpty ? 0 : 1)
    }

    /// Each in a process of its own: a precondition of the core that ends it is a mistake noticed as well.
    private static func everyMutantIsNoticed(_ count: UInt64, _ first: UInt64) -> Bool {
        var unnoticed: [Mutant] = []
        for mutant in Mutant.allCases {
            let child = Process()
            child.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
            child.arguments = ["\(count)", "\(first)", mutant.rawValue]
            child.standardError = FileHandle.nullDevice
            do { try child.run() } catch {
                say("\(mutant.rawValue): \(error)")
                return false
            }
            child.waitUntilExit()
            let isTrapped = child.terminationReason == .uncaughtSignal
            if isTrapped { say("\(mutant.rawValue): noticed by a precondition") }
            if !isTrapped, child.terminationStatus != 0 { unnoticed.append(mutant) }
        }
        say("not noticed: \(unnoticed.map(\.rawValue).joined(separator: " "))")
        return unnoticed.isEmpty
    }

    private static func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
}
