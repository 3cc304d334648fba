/// One line that breaks a rule.
struct Violation: CustomStringConvertible, Equatable {
    let path: String
    let line: Int
    let problem: String

    init(_ path: String, _ line: Int, _ problem: String) {
        self.path = path
        self.line = line
        self.problem = problem
    }

    var description: String { "\(path):\(line): \(problem)" }
}
