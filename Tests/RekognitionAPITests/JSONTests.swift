import Foundation
import Testing

@testable import RekognitionAPI

@Suite struct JSONTests {
    private func read(_ text: String) throws(JSONFault) -> JSONValue { try JSONReader.read(Array(text.utf8)) }

    @Test func everyKindOfValueIsRead() throws {
        let value = try read(#" {"a": [1, -2.5e1, true, false, null], "b": {"c": "x"}, "": "" } "#)
        #expect(
            value
                == .object([
                    "a": .list([1, .number(-25.0), .flag(true), .flag(false), .null]), "b": ["c": "x"], "": "",
                ]))
        #expect(try read("[]") == .list([]))
        #expect(try read("{}") == .object([:]))
    }

    @Test(arguments: [
        (#""a\"\\\/\b\f\n\r\t""#, "a\"\\/\u{8}\u{c}\n\r\t"), (#""\u00e9\u20AC""#, "é€"), (#""\ud83d\ude00""#, "😀"),
        (#""é😀""#, "é😀"), (#""\u0000""#, "\0"),
    ])
    func escapesAreUndone(text: String, meaning: String) throws {
        #expect(try read(text) == .text(meaning))
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,", "[1,]", #"{"a":1,}"#, #"{"a"}"#, #"{"a":}"#, "{a:1}", #"{"a":1 "b":2}"#,
        "[1 2]",
        "tru", "nul", "NaN", "Infinity", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "1 2", "{} x",
        #"""#, #""a"#, #""\"#, #""\x""#, #""\u12""#, #""\u12g4""#, #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#,
        "\"a\nb\"", #"{"a":1,"a":2}"#, "\u{FEFF}{}", "'a'",
    ])
    func whatIsNotJSONIsRefused(text: String) {
        #expect(throws: JSONFault.self) { try JSONReader.read(Array(text.utf8)) }
    }

    @Test func theFaultSaysWhere() {
        #expect(throws: JSONFault(offset: 7, problem: "a member stands twice")) { try self.read(#"{"a":1,"a":2}"#) }
    }

    @Test func whatIsNotUTF8IsRefused() {
        for bytes in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xC3]] as [[UInt8]] {
            #expect(throws: JSONFault.self) { try JSONReader.read([0x22] + bytes + [0x22]) }
        }
    }

    @Test func depthAndCountAreBounded() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try read(nested(JSONReader.depthMax + 1))
        #expect(throws: JSONFault.self) { try self.read(nested(JSONReader.depthMax + 2)) }
        #expect(throws: JSONFault.self) { try self.read(nested(1_000_000)) }
        func long(_ values: Int) -> [UInt8] {
            Array("[".utf8) + repeatElement("1,".utf8, count: values - 1).joined() + Array("1]".utf8)
        }
        _ = try JSONReader.read(long(JSONReader.valuesMax - 1))
        #expect(throws: JSONFault.self) { try JSONReader.read(long(JSONReader.valuesMax)) }
    }

    @Test func numbersAreTheNearestDouble() throws {
        var generator = SeededGenerator(seed: 7)
        var texts = [
            "0", "-0", "1", "0.1", "1e22", "1e23", "123456789012345678", "9007199254740993", "4.9e-324", "1e-400",
            "1.7976931348623157e308", "0.000000000000000000000000000001", "100000000000000000000000", "1E+2", "5e-1",
            "0.30000000000000004", "999999999999999e22", "999999999999999e-22",
        ]
        for _ in 0..<20_000 {
            let bits = Double(bitPattern: generator.next())
            if bits.isFinite { texts.append(bits.description) }
            texts.append(Float.random(in: -1...1, using: &generator).description)
            let digits = Int.random(in: -99_999...99_999, using: &generator)
            texts.append("\(digits)e\(Int.random(in: -30...30, using: &generator))")
        }
        for text in texts {
            guard case .number(let number) = try read(text), let nearest = Double(text) else {
                Issue.record("no number: \(text)")
                continue
            }
            #expect(number.bitPattern == nearest.bitPattern, "\(text)")
        }
        #expect(try read("1e400") == .number(Double.infinity))
    }

    @Test func whatIsWrittenIsReadBackHereAndByFoundation() throws {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<500 {
            let value = JSONValue.object(["x": Self.random(depth: 3, &generator)])
            let bytes = JSONWriter.bytes(value)
            #expect(try JSONReader.read(bytes) == value)
            _ = try JSONSerialization.jsonObject(with: Data(bytes))
        }
    }

    @Test func theTextIsTheSameEveryTime() {
        let value: JSONValue = [
            "b": .number(1.0), "a": .list([.number(0.5), .null, .flag(true)]), "c": "\u{1}\"\\é\u{1f}",
            "d": .number(1e300),
        ]
        #expect(
            String(decoding: JSONWriter.bytes(value), as: UTF8.self)
                == #"{"a":[0.5,null,true],"b":1,"c":"\u0001\"\\é\u001f","d":1e+300}"#)
    }

    /// No byte, changed to any other, may crash the reader.
    @Test func damagedDocumentsAreReadOrRefused() {
        let good = Array(#"{"a":[1,-2.5e1,"x\u00e9\\",{"b":null}],"c":true}"#.utf8)
        for offset in good.indices {
            for byte in UInt8.min...UInt8.max {
                var bytes = good
                bytes[offset] = byte
                _ = try? JSONReader.read(bytes)
            }
            _ = try? JSONReader.read(Array(good[..<offset]))
        }
    }

    private static func random(depth: Int, _ generator: inout SeededGenerator) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 6 : 4), using: &generator) {
        case 0: .null
        case 1: .flag(Bool.random(using: &generator))
        case 2: .number(Double.random(in: -1e6...1e6, using: &generator))
        case 3:
            .text(
                String(
                    String.UnicodeScalarView(
                        (0..<8).compactMap { _ in Unicode.Scalar(UInt32.random(in: 0...0x2FFFF, using: &generator)) })))
        case 4: .list((0..<3).map { _ in random(depth: depth - 1, &generator) })
        default:
            .object(
                Dictionary(
                    uniqueKeysWithValues: (0..<3).map { ("k\($0)", random(depth: depth - 1, &generator)) }))
        }
    }
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
