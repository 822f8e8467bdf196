import Testing

@testable import TidelogStorage

/// Vectors computed with the reference implementation (libxxhash 0.8), on the bytes that its own sanity check
/// generates: lengths around every boundary of the algorithm, three seeds.
@Suite("XXH64")
struct XXH64Tests {
    /// The bytes that the reference's sanity check hashes: the high byte of a number that squares itself.
    static let sanityBuffer: [UInt8] = {
        var generator: UInt64 = 2_654_435_761
        return (0..<2367).map { _ in
            defer { generator = generator &* 11_400_714_785_074_694_797 }
            return UInt8(truncatingIfNeeded: generator >> 56)
        }
    }()
    static let prime32: UInt64 = 2_654_435_761

    static func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        bytes.withUnsafeBytes { XXH64.hash($0, seed: seed) }
    }

    @Test(
        "the reference's sanity vectors come out",
        arguments: [
            (0, 0, 0xEF46_DB37_51D8_E999), (0, prime32, 0xAC75_FDA2_929B_17EF),
            (0, .max, 0x298F_4C84_B24F_5380),
            (1, 0, 0xE934_A84A_DB05_2768), (1, prime32, 0x5014_6076_43A9_B4C3),
            (1, .max, 0x8BA3_3288_05E3_7C90),
            (4, 0, 0x9136_A0DC_A574_57EE), (4, prime32, 0xCAAB_286B_D8E9_FDB5),
            (4, .max, 0x159F_BDB3_FC3F_C1D6),
            (7, 0, 0x6C83_909A_9F01_ED25), (7, prime32, 0xF98D_03B1_AD6F_9293),
            (7, .max, 0x73BD_E046_67CA_6BF4),
            (8, 0, 0xCDBC_F538_E71D_1348), (8, prime32, 0xFE0C_047A_5353_CDAC),
            (8, .max, 0x568E_81B1_596E_8283),
            (14, 0, 0x8282_DCC4_994E_35C8), (14, prime32, 0xC3BD_6BF6_3DEB_6DF0),
            (14, .max, 0x8523_C9EE_6F95_48ED),
            (31, 0, 0x299B_39A2_90E6_D783), (31, prime32, 0xDA67_3D5F_EB5C_1D79),
            (31, .max, 0x6ED1_061F_61C6_86E5),
            (32, 0, 0x18B2_1649_2BB4_4B70), (32, prime32, 0xB3F3_3BDF_93AD_E409),
            (32, .max, 0x3A79_3D90_2011_3C2A),
            (33, 0, 0x55C8_DC3E_578F_5B59), (33, prime32, 0xE92C_292F_64BC_3071),
            (33, .max, 0x3E29_B6E7_0F25_43DA),
            (63, 0, 0xA9EF_BE0F_A0F3_F4E7), (63, prime32, 0x6C91_1FAD_B05B_6FC2),
            (63, .max, 0x93B7_C9E8_CE6D_E24C),
            (64, 0, 0xEF55_8F8A_CAC2_B5CD), (64, prime32, 0xB5EE_BA99_264C_C44F),
            (64, .max, 0xD482_94C0_C6D5_D9FD),
            (100, 0, 0x4BFE_019C_D91D_9EA4), (100, prime32, 0x4853_706D_C962_5CAE),
            (100, .max, 0x2FE1_B146_0F46_66C4),
            (222, 0, 0xB641_AE8C_B691_C174), (222, prime32, 0x20CB_8AB7_AE10_C14A),
            (222, .max, 0x6192_0BEF_9B9A_65CA),
            (1000, 0, 0x52BD_1358_F22E_9EF7), (1000, prime32, 0x7275_1A24_0801_7E26),
            (1000, .max, 0xF681_D3B0_E9E4_95AE),
            (2367, 0, 0xA824_18DD_EC0E_A581), (2367, prime32, 0xA36A_93C1_8052_673A),
            (2367, .max, 0x1437_1C29_01C9_2A60),
        ] as [(Int, UInt64, UInt64)])
    func sanity(count: Int, seed: UInt64, expected: UInt64) {
        #expect(Self.hash(Array(Self.sanityBuffer.prefix(count)), seed: seed) == expected)
    }

    @Test(
        "well-known texts have their well-known hashes",
        arguments: [
            ("", 0xEF46_DB37_51D8_E999), ("a", 0xD24E_C4F1_A98C_6E5B), ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ] as [(String, UInt64)])
    func texts(text: String, expected: UInt64) {
        #expect(XXH64.hash(text) == expected)
        #expect(XXH64.hash(Array(text.utf8).span.bytes) == expected)
    }
}

@Suite("XXH64 in pieces, and of identifiers")
struct XXH64StreamTests {
    @Test("the hash of pieces is the hash of the whole, wherever it is cut")
    func pieces() {
        let bytes = Array(XXH64Tests.sanityBuffer.prefix(200))
        for length in 0...200 {
            let whole = XXH64Tests.hash(Array(bytes[..<length]), seed: 7)
            for first in stride(from: 0, through: length, by: 3) {
                let middle = first + (length - first) / 2
                var stream = XXH64Stream(seed: 7)
                bytes[..<first].withUnsafeBytes { stream.update($0) }
                bytes[first..<middle].withUnsafeBytes { stream.update($0) }
                bytes[middle..<length].withUnsafeBytes { stream.update($0) }
                #expect(stream.finish() == whole)
            }
        }
    }

    @Test("the hash does not depend on where in memory the bytes stand")
    func alignment() {
        let expected = XXH64Tests.hash(Array(XXH64Tests.sanityBuffer.prefix(100)))
        for shift in 0..<16 {
            let shifted = [UInt8](repeating: 0, count: shift) + XXH64Tests.sanityBuffer.prefix(100)
            #expect(shifted[shift...].withUnsafeBytes { XXH64.hash($0) } == expected)
        }
    }

    @Test("each flipped bit changes the hash")
    func flippedBits() {
        var bytes = Array(XXH64Tests.sanityBuffer.prefix(77))
        let hash = XXH64Tests.hash(bytes)
        for bit in 0..<(bytes.count * 8) {
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(XXH64Tests.hash(bytes) != hash)
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        }
    }

    @Test("the hashes of identifiers are those written down, for they stand on disk")
    func identifiers() {
        #expect(Identifier.text("abc").hash64 == 0x44BC_2CF5_AD77_0999)
        #expect(Identifier.text("").hash64 == 0xEF46_DB37_51D8_E999)
        // Computed from the description in the documentation by an independent program.
        #expect(Identifier.uuid(0, 0).hash64 == 1)
        #expect(Identifier.uuid(0, 1).hash64 == 0x7A36_A97A_58A6_11F2)
        #expect(Identifier.uuid(1, 0).hash64 == 0xB8CB_396D_E59E_AB6A)
        #expect(Identifier.uuid(0x0190_5D2B_7C00_7ABC, 0x8123_4567_89AB_CDEF).hash64 == 0x8AA2_1FD2_ABBA_E9EA)
    }

    @Test("the hashes of identifiers in sequence are all different")
    func spread() {
        var seen: Set<UInt64> = []
        for number in 0..<100_000 as Range<UInt64> {
            seen.insert(Identifier.uuid(0x0190_5D2B_7C00_7000 + number / 1000, number).hash64)
            seen.insert(Identifier.uuid(number, 0).hash64)
        }
        #expect(seen.count == 200_000)
    }
}
