import AccessControl
import FaceModel

/// What a client is told when a call fails: AWS's name, the HTTP status and a sentence.
package struct APIError: Error, Hashable, Sendable {
    /// Names as they stand on the wire; `Exception` is part of them, except in AWS's own exception to that.
    package enum Code: String, Hashable, Sendable, CaseIterable {
        case accessDenied = "AccessDeniedException"
        case imageTooLarge = "ImageTooLargeException"
        case incompleteSignature = "IncompleteSignatureException"
        case `internal` = "InternalServerError"
        case invalidImageFormat = "InvalidImageFormatException"
        case invalidPaginationToken = "InvalidPaginationTokenException"
        case invalidParameter = "InvalidParameterException"
        case invalidS3Object = "InvalidS3ObjectException"
        case invalidSignature = "InvalidSignatureException"
        case missingToken = "MissingAuthenticationTokenException"
        case resourceExists = "ResourceAlreadyExistsException"
        case resourceNotFound = "ResourceNotFoundException"
        case serialization = "SerializationException"
        case serviceQuota = "ServiceQuotaExceededException"
        case throttling = "ThrottlingException"
        case throughput = "ProvisionedThroughputExceededException"
        case unknownOperation = "UnknownOperationException"
        case unrecognizedClient = "UnrecognizedClientException"
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var status: Int { code == .internal ? 500 : 400 }

    /// Seconds after which the same request may work, for the codes that SDKs retry.
    package var retryAfter: Int? {
        switch code {
        case .throttling, .throughput: 1
        case .accessDenied, .imageTooLarge, .incompleteSignature, .internal, .invalidImageFormat,
            .invalidPaginationToken, .invalidParameter, .invalidS3Object, .invalidSignature, .missingToken,
            .resourceExists, .resourceNotFound, .serialization, .serviceQuota, .unknownOperation, .unrecognizedClient:
            nil
        }
    }

    init(_ error: AuthError) {
        let code: Code =
            switch error {
            case .missingToken: .missingToken
            case .incompleteSignature: .incompleteSignature
            case .unrecognizedClient: .unrecognizedClient
            case .invalidSignature, .bodyHash, .expired: .invalidSignature
            case .accessDenied: .accessDenied
            }
        self.init(code, error.message)
    }
}
