import AccessControl
import AuditLedger
import Coordinator
import FaceModel

/// One operation of the wire: its name, what it needs, and how it is run.
struct Operation: Sendable {
    typealias Run = @Sendable (Call) async throws(APIError) -> Answer

    /// As in `X-Amz-Target`, service included.
    var target: String
    var action: Action
    var run: Run

    init(_ target: String, _ action: Action, _ run: @escaping Run) {
        self.target = target
        self.action = action
        self.run = run
    }

    /// Every operation there is, by target.
    static let table: [String: Operation] = Dictionary(
        uniqueKeysWithValues: (rekognition + facet).map { ($0.target, $0) })
}

/// One authenticated, authorised call.
struct Call: Sendable {
    var index: FaceIndex
    var region: String
    var context: CallContext
    var mode: ModeMembers
    var fields: RequestFields

    /// Runs a call of the index and translates its error.
    func index<Value>(
        _ body: (FaceIndex) async throws(CoordinatorError) -> Value
    ) async throws(APIError) -> Value {
        do throws(CoordinatorError) {
            return try await body(index)
        } catch {
            throw APIError(error)
        }
    }

    func arn(_ name: CollectionName) -> String {
        "arn:aws:rekognition:\(region):\(context.tenant):collection/\(name)"
    }

    func collection() throws(APIError) -> CollectionName {
        try fields.required(
            "CollectionId", try fields.name("CollectionId", allowed: "1 to 255 characters of a-z A-Z 0-9 _ . -"))
    }

    func externalImageID(_ fields: RequestFields) throws(APIError) -> ExternalImageID? {
        try fields.name("ExternalImageId", allowed: "1 to 255 characters of a-z A-Z 0-9 _ . - :")
    }

    /// The bytes of an `Image` member: base64 in the request. S3 objects are not reachable from here.
    func image() throws(APIError) -> [UInt8] {
        let image = try fields.required("Image", try fields.object("Image"))
        let object = try image.object("S3Object")
        guard image.has("Bytes") != (object != nil) else {
            throw image.invalid("Bytes", "or S3Object must be given, and not both")
        }
        guard object == nil else {
            throw APIError(
                .invalidS3Object,
                "Unable to get object metadata from S3: this server has no S3 endpoint. Send the image as Bytes.")
        }
        let bytes = try image.required("Bytes", try image.bytes("Bytes"))
        guard !bytes.isEmpty else { throw image.invalid("Bytes", "must not be empty") }
        guard bytes.count <= Limits.imageBytesMax else {
            throw APIError(
                .imageTooLarge,
                "Image size is too large. \(bytes.count) bytes; at most \(Limits.imageBytesMax) are accepted.")
        }
        return bytes
    }

    func maxFaces() throws(APIError) -> Int {
        try fields.integer("MaxFaces", in: 1...Limits.candidatesMax) ?? Limits.candidatesDefault
    }

    /// AWS's default, 80.
    func similarityThreshold() throws(APIError) -> SearchThreshold {
        .similarity(try fields.number("FaceMatchThreshold", in: 0...100) ?? 80)
    }

    func page() throws(APIError) -> (token: String?, limit: Int) {
        let limit = try fields.integer("MaxResults", in: 0...Limits.pageSizeMax) ?? 0
        return (try fields.text("NextToken", length: 0...600), limit == 0 ? Limits.pageSizeDefault : limit)
    }
}

/// The JSON of a 200, and the headers that go with it.
struct Answer: Sendable {
    var json: JSONValue
    var headers: [String: String] = [:]

    init(_ json: JSONValue, headers: [String: String] = [:]) {
        self.json = json
        self.headers = headers
    }

    /// What every search says beside its candidates.
    init(_ json: JSONValue, search: SearchAnswer) {
        var headers = [
            "x-facet-search-id": search.search.description, "x-facet-coverage": search.coverage.description,
        ]
        if let strangers = search.expectedStrangers { headers["x-facet-expected-strangers"] = "\(strangers)" }
        self.init(json, headers: headers)
    }
}
