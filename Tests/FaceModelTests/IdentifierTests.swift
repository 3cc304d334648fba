import FaceModel
import Testing

@Suite struct IdentifierTests {
    @Test func uuidTextComesBack() {
        let bits = Bits128(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
        #expect(bits.text == "01234567-89ab-cdef-fedc-ba9876543210")
        #expect(Bits128(text: bits.text) == bits)
        #expect(Bits128(bigEndian: bits.bytes) == bits)
    }

    @Test(arguments: [
        "", "01234567-89AB-cdef-fedc-ba9876543210", "0123456789abcdeffedcba9876543210",
        "01234567-89ab-cdef-fedc-ba987654321", "01234567-89ab-cdef-fedc-ba98765432100",
        "g1234567-89ab-cdef-fedc-ba9876543210",
    ])
    func onlyTheCanonicalFormIsAnId(text: String) {
        #expect(FaceID(text: text) == nil)
    }

    @Test func stampedIdsCarryVersionAndVariant() {
        let stamped = Bits128(high: .max, low: .max).stamped(version: 5)
        #expect(stamped.text == "ffffffff-ffff-5fff-bfff-ffffffffffff")
    }

    @Test func tokensOfARequestsFacesDifferAndAreNeighbours() {
        let token = RequestToken(Bits128(high: 7, low: .max))
        #expect((0..<3).map { token.face(at: $0).bits } == [.max, 0, 1].map { Bits128(high: 7, low: $0) })
        #expect(RequestToken.none.face(at: 5) == .none)
    }

    @Test func textOrderIsBitOrder() {
        let a = FaceID(Bits128(high: 1, low: .max))
        let b = FaceID(Bits128(high: 2, low: 0))
        #expect(a < b && a.description < b.description)
    }

    @Test(arguments: ["a", "A.b_c-9", String(repeating: "x", count: 255)])
    func goodNames(text: String) { #expect(CollectionName(text)?.text == text) }

    @Test(arguments: ["", "a b", "a/b", "ä", "a:b", String(repeating: "x", count: 256)])
    func badNames(text: String) { #expect(CollectionName(text) == nil) }

    @Test func externalIdsMayHoldColons() {
        #expect(ExternalImageID("a:b") != nil)
        #expect(ExternalImageID("a/b") == nil)
        #expect(TenantID("12345678901") == nil && TenantID("123456789012") != nil)
    }
}
