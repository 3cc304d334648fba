/// What is wrong with a body: the field by its name in `Protos/`, and the problem. Never a value of a face.
struct BodyError: Error, Hashable, Sendable, CustomStringConvertible {
    var field: String
    var problem: String

    init(_ field: String, _ problem: String) {
        self.field = field
        self.problem = problem
    }

    var description: String { "\(field): \(problem)" }
}
