import FaceModel
import Foundation

/// The JSON object of a request, read member by member. Everything that is wrong becomes an
/// `InvalidParameterException` that names the member and says what is allowed: botocore checks almost nothing.
struct RequestFields: Sendable {
    private let members: [String: JSONValue]
    private let path: String

    init(body: [UInt8]) throws(APIError) {
        let document: JSONValue
        do throws(JSONFault) {
            document = try JSONReader.read(body)
        } catch {
            throw APIError(
                .serialization,
                "The request body is not JSON this server reads: byte \(error.offset): \(error.problem).")
        }
        guard case .object(let members) = document else {
            throw APIError(.serialization, "The request body must be a JSON object.")
        }
        self.init(members, path: "")
    }

    private init(_ members: [String: JSONValue], path: String) {
        self.members = members
        self.path = path
    }

    func has(_ name: String) -> Bool { member(name) != nil }

    func text(_ name: String, length: ClosedRange<Int> = 0...Int.max) throws(APIError) -> String? {
        guard let value = member(name) else { return nil }
        guard case .text(let text) = value else { throw invalid(name, "must be a string") }
        guard length.contains(text.utf8.count) else {
            throw invalid(name, "must have \(length.lowerBound) to \(length.upperBound) characters")
        }
        return text
    }

    func flag(_ name: String) throws(APIError) -> Bool? {
        guard let value = member(name) else { return nil }
        guard case .flag(let flag) = value else { throw invalid(name, "must be true or false") }
        return flag
    }

    /// Names that follow a pattern; `allowed` says which in words.
    func names<Name: ClientName>(
        _ name: String, count: ClosedRange<Int>, allowed: String
    ) throws(APIError) -> [Name]? {
        guard let values = try list(name, count: count) else { return nil }
        var names: [Name] = []
        for (index, value) in values.enumerated() {
            guard case .text(let text) = value, let read = Name(text) else {
                throw invalid("\(name)[\(index)]", "must be \(allowed)")
            }
            names.append(read)
        }
        return names
    }

    /// A name that follows a pattern of Rekognition's model; `allowed` says which in words.
    func name<Name: ClientName>(_ name: String, allowed: String) throws(APIError) -> Name? {
        guard let text = try text(name) else { return nil }
        guard let value = Name(text) else { throw invalid(name, "must be \(allowed)") }
        return value
    }

    func id<ID: BitsIdentifier>(_ name: String) throws(APIError) -> ID? {
        guard let text = try text(name) else { return nil }
        guard let value = ID(text: text) else { throw invalid(name, Self.uuid) }
        return value
    }

    func ids<ID: BitsIdentifier>(_ name: String, count: ClosedRange<Int>) throws(APIError) -> [ID]? {
        guard let values = try list(name, count: count) else { return nil }
        var ids: [ID] = []
        for (index, value) in values.enumerated() {
            guard case .text(let text) = value, let id = ID(text: text) else {
                throw invalid("\(name)[\(index)]", Self.uuid)
            }
            ids.append(id)
        }
        return ids
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(APIError) -> Int? {
        guard let value = member(name) else { return nil }
        guard case .number(let number) = value, let integer = Int(exactly: number), range.contains(integer) else {
            throw invalid(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    func number(_ name: String, in range: ClosedRange<Double>) throws(APIError) -> Double? {
        guard let value = member(name) else { return nil }
        guard case .number(let number) = value, range.contains(number) else {
            throw invalid(name, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of: Choice.Type
    ) throws(APIError) -> Choice? where Choice.RawValue == String {
        guard let text = try text(name) else { return nil }
        guard let value = Choice(rawValue: text) else {
            throw invalid(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }

    /// Every element one of the raw values; the result is not used further by anything yet but must be valid.
    func choices(_ name: String, of allowed: [String]) throws(APIError) -> [String]? {
        guard let values = try list(name, count: 0...allowed.count * 4) else { return nil }
        var texts: [String] = []
        for (index, value) in values.enumerated() {
            guard case .text(let text) = value, allowed.contains(text) else {
                throw invalid("\(name)[\(index)]", "must be one of \(allowed.joined(separator: ", "))")
            }
            texts.append(text)
        }
        return texts
    }

    /// Keys of 1-128 and values of 0-256 characters, at most 200, no key beginning with "aws:".
    func tags(_ name: String) throws(APIError) -> [String: String]? {
        guard let value = member(name) else { return nil }
        var tags: [String: String] = [:]
        if case .object(let members) = value {
            for (key, member) in members { if case .text(let text) = member { tags[key] = text } }
            if tags.count == members.count, Self.areTags(tags) { return tags }
        }
        throw invalid(
            name, "must map at most 200 keys of 1 to 128 characters, not beginning with aws:, to values of at most 256")
    }

    func object(_ name: String) throws(APIError) -> RequestFields? {
        guard let value = member(name) else { return nil }
        guard case .object(let object) = value else { throw invalid(name, "must be an object") }
        return RequestFields(object, path: full(name))
    }

    func objects(_ name: String, count: ClosedRange<Int>) throws(APIError) -> [RequestFields]? {
        guard let values = try list(name, count: count) else { return nil }
        var objects: [RequestFields] = []
        for (index, value) in values.enumerated() {
            guard case .object(let object) = value else { throw invalid("\(name)[\(index)]", "must be an object") }
            objects.append(RequestFields(object, path: full("\(name)[\(index)]")))
        }
        return objects
    }

    /// Standard base64.
    func bytes(_ name: String) throws(APIError) -> [UInt8]? {
        guard let text = try text(name) else { return nil }
        guard let data = Data(base64Encoded: text) else { throw invalid(name, "must be base64") }
        return [UInt8](data)
    }

    /// A vector: base64 of little-endian fp32, or a list of numbers.
    func vector(_ name: String) throws(APIError) -> Embedding? {
        guard let value = member(name) else { return nil }
        return try vector(value, name)
    }

    /// The same, several.
    func vectors(_ name: String, count: ClosedRange<Int>) throws(APIError) -> [Embedding]? {
        guard let values = try list(name, count: count) else { return nil }
        var vectors: [Embedding] = []
        for (index, value) in values.enumerated() { vectors.append(try vector(value, "\(name)[\(index)]")) }
        return vectors
    }

    private func vector(_ value: JSONValue, _ name: String) throws(APIError) -> Embedding {
        if case .list(let list) = value {
            var values: [Float] = []
            values.reserveCapacity(list.count)
            for (index, element) in list.enumerated() {
                guard case .number(let number) = element else { throw invalid("\(name)[\(index)]", "must be a number") }
                values.append(Float(number))
            }
            return Embedding(values)
        }
        guard case .text(let text) = value, let data = Data(base64Encoded: text), data.count.isMultiple(of: 4) else {
            throw invalid(name, "must be base64 of little-endian fp32 numbers, or a list of numbers")
        }
        return Embedding(
            data.withUnsafeBytes { bytes in
                stride(from: 0, to: bytes.count, by: 4).map {
                    Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self)))
                }
            })
    }

    func invalid(_ name: String, _ problem: String) -> APIError {
        APIError(.invalidParameter, "Request has invalid parameters. \(full(name)) \(problem).")
    }

    /// The value, or the error that says it is missing.
    func required<Value>(_ name: String, _ value: Value?) throws(APIError) -> Value {
        guard let value else { throw invalid(name, "is required") }
        return value
    }

    private static let uuid = "must be a lower-case UUID"

    private func list(_ name: String, count: ClosedRange<Int>) throws(APIError) -> [JSONValue]? {
        guard let value = member(name) else { return nil }
        guard case .list(let list) = value else { throw invalid(name, "must be a list") }
        guard count.contains(list.count) else {
            throw invalid(name, "must have \(count.lowerBound) to \(count.upperBound) elements")
        }
        return list
    }

    private func full(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private static func areTags(_ tags: [String: String]) -> Bool {
        tags.count <= 200
            && tags.allSatisfy { key, text in
                (1...128).contains(key.count) && text.count <= 256 && !key.lowercased().hasPrefix("aws:")
            }
    }

    /// JSON's null is the same as a member that is not there.
    private func member(_ name: String) -> JSONValue? {
        guard let value = members[name], value != .null else { return nil }
        return value
    }
}
