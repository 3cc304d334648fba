/// Times and bounds of connections; the defaults are those of docs/formats/frames.md.
package struct TransportSettings: Sendable {
    /// Silence after which an end asks whether the other lives; after four of them it is dead.
    package var silence: Duration = .seconds(2)
    /// Resolving, connecting, TLS and hello together.
    package var connectTimeout: Duration = .seconds(3)
    /// The first pause after a failed attempt, and the longest: a node that is back must not be refused for long.
    package var backoffMin: Duration = .milliseconds(50)
    package var backoffMax: Duration = .milliseconds(500)
    /// Requests that wait for one node, and the bytes of those that have not left.
    package var pendingRequestsMax = 1_024
    package var pendingBytesMax = 64 << 20
    /// Requests a node answers at a time: of one connection, and of all.
    package var requestsPerConnectionMax = 256
    package var requestsInFlightMax = 1_024
    package var connectionsMax = 1_024
    /// Letters that wait for one node, and their bytes; what goes in one request, which holds one letter at least.
    package var lettersMax = TransportLimits.lettersMax
    package var letterBytesMax = 32 << 20
    package var postBytesMax = 4 << 20
    /// A request of letters without an answer for so long is given up.
    package var postTimeout: Duration = .seconds(2)
    /// Bytes that wait for a peer that does not read.
    package var outgoingBytesMax = 64 << 20

    package init() {}
}
