// Package rows holds values from both the topic and the tables, and compares rows without keeping them.
package rows

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
)

// Value is one value of a row. Int holds whole numbers, microseconds since 1970, days since 1970 or cents; Text holds
// text or bytes, and is valid only until the next row is read.
type Value struct {
	Set   bool
	Int   int64
	Float float64
	Text  []byte
}

// Texts encodes a map from text to text, so that equal maps have equal texts whatever the order of their entries.
func Texts(entries map[string]Value) Value {
	keys := make([]string, 0, len(entries))
	for key := range entries {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var encoded []byte
	for _, key := range keys {
		value := entries[key]
		encoded = binary.AppendUvarint(encoded, uint64(len(key)))
		encoded = append(encoded, key...)
		if !value.Set {
			encoded = append(encoded, 0)
			continue
		}
		encoded = binary.AppendUvarint(append(encoded, 1), uint64(len(value.Text)))
		encoded = append(encoded, value.Text...)
	}
	return Value{Set: true, Text: encoded}
}

// Key identifies a row in 128 bits: by the hash of its id, or by the id itself.
type Key [16]byte

// Two of a hundred million different ids have the same key by chance once in 10^22 times.
var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// KeyOf returns the key of an id, which is the same throughout a process.
func KeyOf(id []byte) Key {
	var key Key
	binary.LittleEndian.PutUint64(key[:8], maphash.Bytes(seeds[0], id))
	binary.LittleEndian.PutUint64(key[8:], maphash.Bytes(seeds[1], id))
	return key
}

// Fingerprint hashes rows value by value; equal rows have equal fingerprints throughout a process.
type Fingerprint struct{ hash maphash.Hash }

// Of returns the fingerprint of a row.
func (f *Fingerprint) Of(row ...Value) uint64 {
	f.hash.SetSeed(seeds[0])
	for _, value := range row {
		var fixed [25]byte
		if value.Set {
			fixed[0] = 1
			binary.LittleEndian.PutUint64(fixed[1:], uint64(value.Int))
			binary.LittleEndian.PutUint64(fixed[9:], floatBits(value.Float))
			binary.LittleEndian.PutUint64(fixed[17:], uint64(len(value.Text)))
		}
		f.hash.Write(fixed[:])
		f.hash.Write(value.Text)
	}
	return f.hash.Sum64()
}

// floatBits returns the same bits for every not-a-number.
func floatBits(number float64) uint64 {
	if math.IsNaN(number) {
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(number)
}
