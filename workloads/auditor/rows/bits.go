package rows

import "math/bits"

// Bits marks whole numbers from 0 on, with one bit each.
type Bits []uint64

// Set marks a number.
func (b *Bits) Set(number int64) {
	for int(number>>6) >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[number>>6] |= 1 << (number & 63)
}

// Has returns whether a number is marked.
func (b Bits) Has(number int64) bool {
	return int(number>>6) < len(b) && b[number>>6]&(1<<(number&63)) != 0
}

// Count returns how many numbers are marked.
func (b Bits) Count() int64 {
	var count int64
	for _, word := range b {
		count += int64(bits.OnesCount64(word))
	}
	return count
}
