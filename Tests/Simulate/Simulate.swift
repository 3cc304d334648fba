import Foundation
import Replication
import SimulatedCluster

/// `simulate COUNT [FIRST] [MUTANT|MISTAKE|none|all]`: runs worlds of the replication core and says what they found.
/// `simulate equal COUNT [FIRST]`: runs each twice and compares; builds that are equal print the same trace.
/// `simulate story SEED [MUTANT]`: tells a world event by event.
@main
struct Simulate {
    static func main() {
        if let seed = CommandLine.arguments.dropFirst(2).first.flatMap(UInt64.init), CommandLine.arguments[1] == "story"
        {
            let mutant = CommandLine.arguments.dropFirst(3).first.flatMap(Mutant.init)
            return Campaign.story(of: seed, mutant: mutant, lines: 400_000).forEach(say)
        }
        let arguments = CommandLine.arguments
        if arguments.dropFirst().first == "equal" {
            exit(areEqual(arguments.dropFirst(2).compactMap(UInt64.init)) ? 0 : 1)
        }
        let count = UInt64(arguments.dropFirst().first ?? "500") ?? 500
        let first = UInt64(arguments.dropFirst(2).first ?? "1") ?? 1
        let name = arguments.dropFirst(3).first ?? "none"
        if name == "all" { exit(everyMutantIsNoticed(count, first) ? 0 : 1) }
        let (mutant, mistake) = (Mutant(rawValue: name), WorldMistake(rawValue: name))
        let summary = Campaign.run(first: first, count: count, mutant: mutant, mistake: mistake)
        say(summary.text)
        exit((mutant == nil && mistake == nil) == summary.failures.isEmpty ? 0 : 1)
    }

    private static func areEqual(_ numbers: [UInt64]) -> Bool {
        let summary = Campaign.compare(first: numbers.dropFirst().first ?? 1, count: numbers.first ?? 500)
        let trace = String(summary.trace, radix: 16)
        say(
            "\(summary.seeds) seeds twice, \(summary.figures.events) events, trace \(trace), unequal: \(summary.unequal)"
        )
        return summary.unequal.isEmpty
    }

    /// Each in a process of its own: a precondition of the core that ends it is a mistake noticed as well.
    private static func everyMutantIsNoticed(_ count: UInt64, _ first: UInt64) -> Bool {
        var unnoticed: [String] = []
        for mutant in Mutant.allCases.map(\.rawValue) + WorldMistake.allCases.map(\.rawValue) {
            let child = Process()
            child.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
            child.arguments = ["\(count)", "\(first)", mutant]
            child.standardError = FileHandle.nullDevice
            do { try child.run() } catch {
                say("\(mutant): \(error)")
                return false
            }
            child.waitUntilExit()
            let isTrapped = child.terminationReason == .uncaughtSignal
            if isTrapped { say("\(mutant): noticed by a precondition") }
            if !isTrapped, child.terminationStatus != 0 { unnoticed.append(mutant) }
        }
        say("not noticed: \(unnoticed.joined(separator: " "))")
        return unnoticed.isEmpty
    }

    private static func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
}
