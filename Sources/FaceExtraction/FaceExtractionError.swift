/// Why faces cannot be extracted at all; what is wrong with one image is an `ExtractionError`.
package enum FaceExtractionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The manifest at `path` cannot be used; `key` is a dotted path into it, empty for the file as a whole.
    case manifest(path: String, key: String, problem: String)
    /// A model file is missing or cannot be read.
    case unreadable(path: String, problem: String)
    /// A model file is not the one the manifest names; digests in hexadecimal.
    case wrongDigest(path: String, expected: String, got: String)
    /// ONNX Runtime, or a model in it, does not work.
    case engine(library: String, problem: String)
    /// The extractor process cannot be started or refused to serve.
    case process(executable: String, problem: String)
    /// What came over the pipe is no message of the protocol.
    case message(problem: String)

    package var description: String {
        switch self {
        case .manifest(let path, let key, let problem):
            "model manifest \(path): \(key.isEmpty ? "" : "key '\(key)': ")\(problem)"
        case .unreadable(let path, let problem):
            "model file \(path): \(problem); 'make deps' installs the models"
        case .wrongDigest(let path, let expected, let got):
            "model file \(path): SHA-256 is \(got), the manifest says \(expected); "
                + "install the right file or remove it and run 'make deps'"
        case .engine(let library, let problem):
            "model runtime \(library): \(problem)"
        case .process(let executable, let problem):
            "extractor \(executable): \(problem)"
        case .message(let problem):
            "extractor protocol: \(problem)"
        }
    }
}
