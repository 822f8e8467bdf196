extension PostingsBuilder {
    /// What each choice of orders would cost in bits.
    struct Costs {
        private let code: PostingsCode
        private var low = [Int](repeating: 0, count: PostingsCode.maximumHashBits)
        private var length = [Int](repeating: 0, count: 16)
        private var gap = [Int](repeating: 0, count: 16)
        private var count = [Int](repeating: 0, count: 16)

        init(code: PostingsCode) {
            self.code = code
        }

        mutating func add(distance: UInt64?, blocks: [BlockPosting]) {
            if let distance {
                for bits in self.low.indices { self.low[bits] += bits + Int(distance >> UInt64(bits)) }
            }
            guard self.code.isGrouped else { return }
            for order in self.length.indices {
                self.length[order] += BitWriter.golombCost(UInt64(blocks.count - 1), order: order)
            }
            // Of an entry with very many blocks a part tells enough.
            let gapOrder = self.code.gapOrder(length: blocks.count)
            var previous = -1
            for posting in blocks.prefix(512) {
                if previous >= 0 {
                    let gap = UInt64(posting.block - previous - 1)
                    for shift in self.gap.indices {
                        self.gap[shift] += BitWriter.golombCost(gap, order: max(0, gapOrder - shift))
                    }
                }
                for order in self.count.indices {
                    self.count[order] += BitWriter.golombCost(UInt64(posting.count - 1), order: order)
                }
                previous = posting.block
            }
        }

        /// Writes the cheapest orders into `code`.
        func choose(_ code: inout PostingsCode) {
            code.lowBits = Self.cheapest(self.low)
            code.lengthOrder = Self.cheapest(self.length)
            code.gapShift = Self.cheapest(self.gap)
            code.countOrder = Self.cheapest(self.count)
        }

        private static func cheapest(_ costs: [Int]) -> Int {
            var best = 0
            for index in costs.indices where costs[index] < costs[best] { best = index }
            return best
        }
    }
}
