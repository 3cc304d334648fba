import Foundation

/// The bars of the design that a run measured, printed together at its end.
// Safe because the sections run one after another on the main thread.
final class Bars {
    private var rows: [String] = []

    /// `best` is the bar: reached when the figure is at most it, or at least it for `atLeast`.
    func add(_ what: String, bar: String, figure: String, reached: Bool) {
        rows.append("| \(what) | \(bar) | \(figure) | \(reached ? "reached" : "**not reached**") |")
    }

    func printTable() {
        guard !rows.isEmpty else { return }
        say("\n| what | bar | here | |\n|---|---|---|---|")
        for row in rows { say(row) }
    }
}

extension Double {
    var one: String { String(format: "%.1f", self) }
    var two: String { String(format: "%.2f", self) }
    var three: String { String(format: "%.3f", self) }
}

/// A line of the report, at once: a run takes minutes, and whoever waits reads along.
func say(_ text: String) {
    print(text)
    fflush(nil)
}
