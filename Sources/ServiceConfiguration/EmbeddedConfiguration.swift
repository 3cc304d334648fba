import FaceModel

/// What an operator can set of an embedded server; docs/operations.md has the table. Flags override the file.
package struct EmbeddedConfiguration: Equatable, Sendable {
    package var data = ".facet/data"
    package var host = "127.0.0.1"
    package var port = 8900
    package var service = ServiceSettings()

    package init() {}

    /// Relative paths in the file are relative to the directory the server is started in.
    package init(file: String) throws(ConfigurationError) {
        try self.init(yaml: ConfigurationSection.contents(of: file), file: file)
    }

    package init(yaml text: String, file: String) throws(ConfigurationError) {
        var top = try ConfigurationSection(yaml: text, file: file)
        data = try top.text("data") ?? data
        var listen = try top.section("listen")
        host = try listen.text("host") ?? host
        port = try listen.integer("port", in: 1...65_535) ?? port
        try listen.finish(allowed: ["host", "port"])
        service = try ServiceSettings(&top)
        try top.finish(allowed: ["data", "listen"] + ServiceSettings.keys)
    }
}
