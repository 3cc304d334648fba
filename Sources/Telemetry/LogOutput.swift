package import Logging

/// Where the log of a process goes: standard error, one line an event, `key=value` behind the text.
package enum LogOutput {
    /// To be called once, before the first logger is made. `level` is one of swift-log's names.
    package static func start(level: String) {
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = Logger.Level(rawValue: level) ?? .info
            return handler
        }
    }

    /// A logger for libraries: they say little unless something is wrong.
    package static func quiet(_ label: String) -> Logger {
        var logger = Logger(label: label)
        logger.logLevel = .warning
        return logger
    }
}
