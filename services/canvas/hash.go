package canvas

// The hash of a grid is the sum, modulo 2^64, of cellHash over all its cells.
// A sum can be kept up to date cell by cell (subtract the old, add the new),
// whatever the order in which cells change. It detects divergence by accident,
// not by an adversary.

// cellHash mixes a cell's index (y·width + x) with its colour. It is the
// finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
// number generators", OOPSLA 2014), a bijection on 64 bits: the index needs
// 24 bits and the colour 24, so different pairs give different values.
func cellHash(index uint32, c Color) uint64 {
	z := (uint64(index)<<24 | uint64(c)) + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// uniformHash is the hash of a grid whose cells all have one colour.
func uniformHash(cells int, c Color) uint64 {
	var sum uint64
	for i := range uint32(cells) {
		sum += cellHash(i, c)
	}
	return sum
}
