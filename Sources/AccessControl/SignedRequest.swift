/// An HTTP request as it stands on the wire, before anything of it is decoded.
package struct SignedRequest: Sendable {
    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: String
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }
    package var method: String
    /// Percent-encoded, as sent; empty means "/".
    package var path: String
    /// After the question mark, as sent; empty when there is none.
    package var query: String
    /// In the order received, names in any case, `host` among them.
    package var headers: [Header]
    package var body: [UInt8]

    package init(method: String, path: String, query: String, headers: [Header], body: [UInt8]) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
    }

    /// All values of a header, in order. `name` in lower case.
    func values(_ name: String) -> [String] { headers.filter { $0.name.lowercased() == name }.map(\.value) }

    /// The header's value when it stands exactly once.
    func single(_ name: String) -> String? {
        let values = values(name)
        return values.count == 1 ? values[0] : nil
    }
}
