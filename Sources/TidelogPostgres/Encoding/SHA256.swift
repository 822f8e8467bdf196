#if Postgres
    /// SHA-256 (FIPS 180-4), which PostgreSQL has built in: digests that both sides compute.
    struct SHA256 {
        private var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
            0x5be0_cd19
        )
        private var pending: [UInt8] = []
        private var total: UInt64 = 0

        init() { self.pending.reserveCapacity(64) }

        /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
        private static let constants: [UInt32] = [
            0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4,
            0xab1c_5ed5, 0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe,
            0x9bdc_06a7, 0xc19b_f174, 0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f,
            0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da, 0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7,
            0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967, 0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc,
            0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85, 0xa2bf_e8a1, 0xa81a_664b,
            0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070, 0x19a4_c116,
            0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
            0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7,
            0xc671_78f2,
        ]

        /// The digest of these bytes.
        static func digest(_ bytes: [UInt8]) -> [UInt8] {
            var hash = SHA256()
            bytes.withUnsafeBytes { hash.update($0) }
            return hash.finish()
        }

        /// Adds bytes.
        mutating func update(_ bytes: UnsafeRawBufferPointer) {
            self.total &+= UInt64(bytes.count)
            var at = 0
            if !self.pending.isEmpty {
                at = min(64 - self.pending.count, bytes.count)
                self.pending.append(contentsOf: bytes[0..<at])
                guard self.pending.count == 64 else { return }
                self.consumePending()
            }
            Self.constants.withUnsafeBufferPointer { constants in
                while at + 64 <= bytes.count {
                    self.consume(UnsafeRawBufferPointer(rebasing: bytes[at..<at + 64]), constants)
                    at += 64
                }
            }
            self.pending.append(contentsOf: bytes[at...])
        }

        /// The digest of everything added; the value is used up.
        consuming func finish() -> [UInt8] {
            let bits = self.total &* 8
            self.pending.append(0x80)
            if self.pending.count > 56 {
                self.pending.append(contentsOf: repeatElement(0, count: 64 - self.pending.count))
                self.consumePending()
            }
            self.pending.append(contentsOf: repeatElement(0, count: 56 - self.pending.count))
            self.pending.append(bigEndian: bits)
            self.consumePending()
            var digest: [UInt8] = []
            digest.reserveCapacity(32)
            let (a, b, c, d, e, f, g, h) = self.state
            for word in [a, b, c, d, e, f, g, h] { digest.append(bigEndian: word) }
            return digest
        }

        private mutating func consumePending() {
            let block = self.pending
            self.pending.removeAll(keepingCapacity: true)
            block.withUnsafeBytes { bytes in
                Self.constants.withUnsafeBufferPointer { self.consume(bytes, $0) }
            }
        }

        private mutating func consume(
            _ block: UnsafeRawBufferPointer, _ constants: UnsafeBufferPointer<UInt32>
        ) {
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
                for index in 0..<16 {
                    words[index] = UInt32(
                        bigEndian: block.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
                }
                for index in 16..<64 {
                    let (early, late) = (words[index - 15], words[index - 2])
                    let first = Self.rotate(early, 7) ^ Self.rotate(early, 18) ^ early >> 3
                    let second = Self.rotate(late, 17) ^ Self.rotate(late, 19) ^ late >> 10
                    words[index] = words[index - 16] &+ first &+ words[index - 7] &+ second
                }
                var (a, b, c, d, e, f, g, h) = self.state
                for index in 0..<64 {
                    let sum1 = Self.rotate(e, 6) ^ Self.rotate(e, 11) ^ Self.rotate(e, 25)
                    let first = h &+ sum1 &+ (e & f ^ ~e & g) &+ constants[index] &+ words[index]
                    let sum0 = Self.rotate(a, 2) ^ Self.rotate(a, 13) ^ Self.rotate(a, 22)
                    let second = sum0 &+ (a & b ^ a & c ^ b & c)
                    (h, g, f, e) = (g, f, e, d &+ first)
                    (d, c, b, a) = (c, b, a, first &+ second)
                }
                self.state.0 &+= a
                self.state.1 &+= b
                self.state.2 &+= c
                self.state.3 &+= d
                self.state.4 &+= e
                self.state.5 &+= f
                self.state.6 &+= g
                self.state.7 &+= h
            }
        }

        @inline(__always)
        private static func rotate(_ word: UInt32, _ bits: UInt32) -> UInt32 {
            word >> bits | word << (32 - bits)
        }
    }

    extension [UInt8] {
        /// Appends an integer, most significant byte first.
        @inline(__always)
        mutating func append<Value: FixedWidthInteger>(bigEndian value: Value) {
            Swift.withUnsafeBytes(of: value.bigEndian) { self.append(contentsOf: $0) }
        }
    }
#endif
