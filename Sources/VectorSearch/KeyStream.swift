/// The ChaCha20 key stream (RFC 8439, 2.3-2.4) as a generator of random words, so that nobody who sees a part of what
/// was drawn can tell the rest. It holds a secret: it has no description and is not printed.
struct KeyStream {
    private let key: [UInt32]
    private let nonce: [UInt32]
    private var counter: UInt32 = 0
    private var block: [UInt32] = []
    private var position = 16

    /// `key` is 32 bytes, `nonce` 12; anything else is a programming error.
    init(key: [UInt8], nonce: [UInt8]) {
        precondition(key.count == 32 && nonce.count == 12, "ChaCha20 takes 32 and 12 bytes")
        self.key = Self.words(key)
        self.nonce = Self.words(nonce)
    }

    /// The next four bytes of the stream, little endian.
    mutating func next32() -> UInt32 {
        if position == 16 {
            block = nextBlock()
            position = 0
        }
        defer { position += 1 }
        return block[position]
    }

    /// Uniform in 0 ..< `bound`, without bias: words above the largest multiple of `bound` are drawn again.
    mutating func next(below bound: UInt32) -> UInt32 {
        precondition(bound > 0, "a draw needs a choice")
        let excess = (UInt32.max % bound + 1) % bound
        while true {
            let word = next32()
            if word <= UInt32.max - excess { return word % bound }
        }
    }

    private mutating func nextBlock() -> [UInt32] {
        // "expand 32-byte k"
        let start: [UInt32] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574] + key + [counter] + nonce
        counter += 1
        var state = start
        for _ in 0..<10 {
            for column in 0..<4 { Self.quarter(&state, column, column + 4, column + 8, column + 12) }
            for d in 0..<4 { Self.quarter(&state, d, 4 + (d + 1) % 4, 8 + (d + 2) % 4, 12 + (d + 3) % 4) }
        }
        return zip(state, start).map { $0 &+ $1 }
    }

    private static func quarter(_ s: inout [UInt32], _ a: Int, _ b: Int, _ c: Int, _ d: Int) {
        s[a] &+= s[b]
        s[d] = rotated(s[d] ^ s[a], by: 16)
        s[c] &+= s[d]
        s[b] = rotated(s[b] ^ s[c], by: 12)
        s[a] &+= s[b]
        s[d] = rotated(s[d] ^ s[a], by: 8)
        s[c] &+= s[d]
        s[b] = rotated(s[b] ^ s[c], by: 7)
    }

    private static func rotated(_ word: UInt32, by bits: UInt32) -> UInt32 { word << bits | word >> (32 - bits) }

    private static func words(_ bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count, by: 4).map { at in
            (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        }
    }
}
