import AsyncHTTPClient
import Foundation
import NIOCore
import Testing

/// etcd's JSON gateway without our adapter, for what the adapter would never do.
struct RawEtcd {
    private let endpoint: String

    init(_ endpoint: String) { self.endpoint = endpoint }

    func put(_ key: String, _ value: String) async throws {
        let (key, value) = (Data(key.utf8).base64EncodedString(), Data(value.utf8).base64EncodedString())
        try await post("/v3/kv/put", #"{"key":"\#(key)","value":"\#(value)"}"#)
    }

    func post(_ path: String, _ body: String) async throws {
        var request = HTTPClientRequest(url: endpoint + path)
        request.method = .POST
        request.body = .bytes(ByteBuffer(string: body))
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(5))
        let answer = String(buffer: try await response.body.collect(upTo: 1 << 20))
        try #require(response.status.code == 200, "\(answer)")
    }
}
