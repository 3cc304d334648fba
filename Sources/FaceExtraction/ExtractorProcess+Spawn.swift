import CFaceExtraction
import Glibc

extension ExtractorProcess {
    /// Starts the executable with two pipes as its standard input and output, an empty environment (no secret of
    /// ours may be read there) and no signal blocked.
    static func spawn(
        _ configuration: ExtractorConfiguration
    ) throws(FaceExtractionError) -> (pid: pid_t, input: PipeEnd, output: PipeEnd) {
        let requests = try pipe(configuration)
        let answers = try pipe(configuration)
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, requests.read.descriptor, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, answers.write.descriptor, STDOUT_FILENO)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pid: pid_t = 0
        let code = withCStrings(arguments(configuration)) { arguments in
            withCStrings(environment()) { environment in
                posix_spawn(&pid, configuration.executable, &actions, &attributes, arguments, environment)
            }
        }
        guard code == 0 else { throw failure(configuration, code) }
        guard requests.write.setNonBlocking(), answers.read.setNonBlocking() else {
            throw failure(configuration, errno)
        }
        return (pid, requests.write, answers.read)
    }

    private static func arguments(_ configuration: ExtractorConfiguration) -> [String] {
        let seconds = max(1, configuration.imageTime.components.seconds)
        return [
            configuration.executable, "--models", configuration.models, "--library", configuration.library,
            "--memory-bytes-max", "\(configuration.memoryBytesMax)", "--image-seconds-max", "\(seconds)",
        ]
    }

    /// Only what the loader may need to find the language's own libraries.
    private static func environment() -> [String] {
        getenv("LD_LIBRARY_PATH").map { ["LD_LIBRARY_PATH=" + String(cString: $0)] } ?? []
    }

    private static func pipe(
        _ configuration: ExtractorConfiguration
    ) throws(FaceExtractionError) -> (read: PipeEnd, write: PipeEnd) {
        var ends: [Int32] = [-1, -1]
        let code = facet_pipe(&ends)
        guard code == 0 else { throw failure(configuration, code) }
        return (PipeEnd(ends[0]), PipeEnd(ends[1]))
    }

    private static func failure(_ configuration: ExtractorConfiguration, _ code: Int32) -> FaceExtractionError {
        .process(executable: configuration.executable, problem: "cannot be started: \(String(cString: strerror(code)))")
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return body(copies)
    }
}
