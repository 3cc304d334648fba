import ClusterModel
import Foundation

// The parts of etcd's v3 JSON gateway that we use. The gateway writes bytes as base64 and 64-bit numbers as strings,
// and leaves out whatever is zero or false.
// Field names are the gateway's in camel case; `EtcdClient` converts.

/// A 64-bit number in a string; missing is zero.
struct EtcdNumber: Codable, Hashable {
    var value: Int64
    init(_ value: Int64) { self.value = value }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Int64(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a 64-bit number")
        }
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(String(value))
    }
}

struct EtcdHeader: Decodable {
    /// Too large for `Int64` in half of all clusters.
    var clusterId: String
    var revision: EtcdNumber?
}

struct EtcdKeyValue: Decodable {
    var key: Data
    var modRevision: EtcdNumber
    var value: Data?
}

struct EtcdRangeRequest: Encodable {
    var key: Data
    var rangeEnd: Data?
    var limit: EtcdNumber?
    var revision: EtcdNumber?
    var keysOnly: Bool?
}

struct EtcdRangeResponse: EtcdAnswer {
    var header: EtcdHeader
    var kvs: [EtcdKeyValue]?
    var more: Bool?
}

struct EtcdCompare: Encodable {
    var key: Data
    var target = "MOD"
    var result = "EQUAL"
    var modRevision: EtcdNumber
}

struct EtcdOperation: Encodable {
    struct Put: Encodable {
        var key: Data
        var value: Data
        var lease: EtcdNumber?
    }
    struct DeleteRange: Encodable {
        var key: Data
    }
    var requestPut: Put?
    var requestDeleteRange: DeleteRange?
    var requestRange: EtcdRangeRequest?
}

struct EtcdTransactionRequest: Encodable {
    var compare: [EtcdCompare]
    var success: [EtcdOperation]
    var failure: [EtcdOperation]
}

struct EtcdTransactionResponse: EtcdAnswer {
    struct Response: Decodable {
        struct Range: Decodable {
            var kvs: [EtcdKeyValue]?
        }
        var responseRange: Range?
    }
    var header: EtcdHeader
    var succeeded: Bool?
    var responses: [Response]?
}

struct EtcdWatchRequest: Encodable {
    struct Create: Encodable {
        var key: Data
        var rangeEnd: Data
        var startRevision: EtcdNumber
    }
    var createRequest: Create
}

/// One line of a watch.
struct EtcdWatchLine: Decodable {
    struct Result: EtcdAnswer {
        var header: EtcdHeader
        var created: Bool?
        var canceled: Bool?
        var cancelReason: String?
        var compactRevision: EtcdNumber?
        var events: [Event]?
    }
    struct Event: Decodable {
        /// Missing for a put.
        var type: String?
        var kv: EtcdKeyValue
    }
    var result: Result?
    var error: EtcdRefusal?
}

/// What the gateway answers beside a status that is not 200.
struct EtcdRefusal: Decodable {
    var message: String
    /// gRPC's; `grpcCode` in a stream.
    var code: Int?
    var grpcCode: Int?
}

/// Every answer says which cluster it comes from.
protocol EtcdAnswer: Decodable {
    var header: EtcdHeader { get }
}
