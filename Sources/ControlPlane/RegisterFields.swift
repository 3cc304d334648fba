import ClusterModel
import FaceModel
import Foundation

/// A JSON object being written or read, with errors that name the register and the field.
struct RegisterFields {
    private var object: [String: Any] = [:]
    private var path = ""

    init() {}

    init(_ bytes: [UInt8], path: String) throws(ControlPlaneError) {
        self.path = path
        do {
            guard let object = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
                throw ControlPlaneError.unreadable(path: path, reason: "not a JSON object")
            }
            self.object = object
        } catch let error as ControlPlaneError {
            throw error
        } catch {
            throw .unreadable(path: path, reason: "not JSON")
        }
    }

    subscript(name: String) -> Any? {
        get { object[name] }
        set { object[name] = newValue }
    }

    var bytes: [UInt8] {
        guard let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) else {
            preconditionFailure("a register holds only JSON values")
        }
        return [UInt8](data)
    }

    mutating func put(_ time: Timestamp, as name: String) { object[name] = time.milliseconds }
    mutating func put(_ data: [UInt8], as name: String) { object[name] = Data(data).base64EncodedString() }

    func has(_ name: String) -> Bool { object[name] != nil }

    func get<Value>(_ name: String) throws(ControlPlaneError) -> Value {
        guard let value = object[name] as? Value else { throw unreadable(name) }
        return value
    }

    func name<Name: ClientName>(_ name: String) throws(ControlPlaneError) -> Name {
        guard let value = Name(try get(name)) else { throw unreadable(name) }
        return value
    }

    func bits(_ name: String) throws(ControlPlaneError) -> Bits128 {
        guard let value = Bits128(text: try get(name)) else { throw unreadable(name) }
        return value
    }

    func data(_ name: String) throws(ControlPlaneError) -> [UInt8] {
        guard let value = Data(base64Encoded: try get(name) as String) else { throw unreadable(name) }
        return [UInt8](value)
    }

    /// 0 or more.
    func count(_ name: String) throws(ControlPlaneError) -> UInt64 {
        guard let value = UInt64(exactly: try get(name) as Int) else { throw unreadable(name) }
        return value
    }

    func time(_ name: String) throws(ControlPlaneError) -> Timestamp {
        Timestamp(milliseconds: Int64(try get(name) as Int))
    }

    func unreadable(_ name: String) -> ControlPlaneError {
        .unreadable(path: path, reason: "field \(name) is missing or of another type")
    }
}
