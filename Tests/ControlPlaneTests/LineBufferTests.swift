import NIOCore
import Testing

@testable import ControlPlane

@Suite struct LineBufferTests {
    @Test func linesComeWholeHoweverTheyAreCut() throws {
        let text = "one\n\n{\"two\":2}\nthree\n" + String(repeating: "x", count: 500) + "\nrest"
        for size in [1, 2, 3, 7, 64, 1_000] {
            var buffer = LineBuffer(bytesMax: 1_000)
            var lines: [String] = []
            var left = text[...]
            while !left.isEmpty {
                try buffer.append(ByteBuffer(string: String(left.prefix(size))))
                left = left.dropFirst(size)
                while let line = buffer.next() { lines.append(String(buffer: line)) }
            }
            #expect(lines == ["one", "{\"two\":2}", "three", String(repeating: "x", count: 500)], "\(size)")
        }
    }

    @Test func aLineWithoutEndIsRefusedAtTheBound() throws {
        var buffer = LineBuffer(bytesMax: 100)
        for _ in 0..<10 {
            try buffer.append(ByteBuffer(repeating: 65, count: 10))
            #expect(buffer.next() == nil)
        }
        #expect(throws: EtcdFailure.self) { try buffer.append(ByteBuffer(repeating: 65, count: 1)) }
    }
}
