import ArgumentParser
import ClusterTransport
import FaceModel

/// The certificates by which the processes of a cluster know each other.
struct CertsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs", abstract: "Make, renew and show the certificates of a cluster's processes.",
        discussion: """
            A directory holds ca.pem and ca-key.pem, and for each process NAME.pem and NAME-key.pem. Processes read \
            theirs when they start. Keep ca-key.pem off the servers: who has it can be any of them.
            """,
        subcommands: [Init.self, Issue.self, Renew.self, Show.self])

    struct Init: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a new authority.")
        @OptionGroup var folder: CertificateFolderOptions
        @Option(help: "The cluster's name, as in its configuration file.") var cluster: String
        @Option(help: "How long the authority is valid.") var days = 3_650

        func run() async throws {
            let authority = try folder.folder.makeAuthority(cluster: cluster, days: days)
            Output.line(
                "The authority of cluster \(authority.cluster) is made; it ends \(Output.date(authority.notAfter)).")
        }
    }

    struct Issue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a process's certificate and key.")
        @OptionGroup var folder: CertificateFolderOptions
        @Option(help: "One of \(PeerRole.allCases.map(\.rawValue).joined(separator: ", ")).") var role: String
        @Option(help: "The process's name in the configuration file.") var name: String
        @Option(help: "A DNS name or address clients use for it. Repeatable.") var host: [String] = []
        @Option(help: "How long it is valid.") var days = 365

        func validate() throws {
            guard PeerRole(rawValue: role) != nil else {
                throw ValidationError(
                    "--role '\(role)' is not one of \(PeerRole.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            guard NodeID(name) != nil else { throw ValidationError("--name must be 1 to 63 characters of a-z 0-9 -.") }
        }

        func run() async throws {
            guard let role = PeerRole(rawValue: role), let name = NodeID(name) else { return }
            let issued = try folder.folder.issue(role: role, name: name, hosts: host, days: days)
            Output.line("\(issued.identity) is made; it ends \(Output.date(issued.notAfter)).")
        }
    }

    struct Renew: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make new certificates for those that end soon: same name and hosts, new key.",
            discussion: "Restart the processes afterwards, in any order: old and new ones work side by side.")
        @OptionGroup var folder: CertificateFolderOptions
        @Option(help: "Renew what ends within so many days.") var withinDays = 30
        @Option(help: "How long the new ones are valid.") var days = 365

        func run() async throws {
            let renewed = try folder.folder.renew(withinDays: withinDays, days: days)
            for certificate in renewed {
                Output.line("\(certificate.identity) is renewed; it ends \(Output.date(certificate.notAfter)).")
            }
            if renewed.isEmpty { Output.line("Nothing ends within \(withinDays) days.") }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the certificates.")
        @OptionGroup var folder: CertificateFolderOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let certificates = try folder.folder.certificates()
            if output.json {
                return try Output.json(
                    certificates.map {
                        [
                            "File": $0.file, "Identity": $0.identity.uri, "Hosts": $0.hosts,
                            "Expires": Double($0.notAfter.milliseconds) / 1_000,
                        ] as [String: Any]
                    })
            }
            Output.table(
                ["FILE", "ROLE", "NAME", "HOSTS", "ENDS"],
                certificates.map {
                    [
                        $0.file, $0.identity.role.rawValue, $0.identity.name.text, $0.hosts.joined(separator: ", "),
                        Output.date($0.notAfter),
                    ]
                })
        }
    }
}

struct CertificateFolderOptions: ParsableArguments {
    @Option(help: "The directory of the certificates.") var out: String

    var folder: CertificateFolder { CertificateFolder(path: out) }
}
