/// How extractor processes are run. Bounds are checked by whoever reads the operator's configuration.
package struct ExtractorConfiguration: Hashable, Sendable {
    /// Path of the face-extractor executable.
    package var executable: String
    /// Folder with the model's manifest and weights.
    package var models: String
    /// Path of ONNX Runtime's shared library.
    package var library: String
    /// Processes; each uses one core while it works.
    package var processes: Int
    /// Images that may wait for a process; one more is refused at once.
    package var queueMax = 64
    /// Time one image may take in a process before that process is killed.
    package var imageTime = Duration.seconds(10)
    /// Time a process may take to load its models.
    package var startTime = Duration.seconds(60)
    /// Time an image may wait for a process before it is refused.
    package var waitTime = Duration.seconds(20)
    /// Address space of a process, in bytes.
    package var memoryBytesMax: UInt64 = 2 << 30

    package init(executable: String, models: String, library: String, processes: Int) {
        self.executable = executable
        self.models = models
        self.library = library
        self.processes = processes
    }
}
