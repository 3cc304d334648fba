/// How many rows the stages of a search by planes saw and left: what it saved.
package struct PlaneCounts: Hashable, Sendable {
    /// Rows whose first planes were read.
    package private(set) var scanned = 0
    /// Rows left after the first scan and after each later stage.
    package private(set) var left = [0, 0, 0]
    /// Rows scored exactly, those without planes included.
    package internal(set) var scored = 0

    package init() {}

    mutating func count(scanned: Int, left: Int) {
        self.scanned += scanned
        self.left[0] += left
    }

    mutating func count(stage: Int, left: Int) { self.left[stage] += left }
}
