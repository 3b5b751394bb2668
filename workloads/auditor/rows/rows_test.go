package rows

import (
	"math"
	"testing"
)

func TestFingerprintsDistinguishRows(t *testing.T) {
	var prints Fingerprint
	seen := map[uint64]int{}
	for number, row := range [][]Value{
		{{}, {Set: true}},
		{{Set: true}, {}},
		{{Set: true, Text: []byte("ab")}, {Set: true, Text: []byte("c")}},
		{{Set: true, Text: []byte("a")}, {Set: true, Text: []byte("bc")}},
		{{Set: true, Int: 1}},
		{{Set: true, Float: 1}},
		{{Set: true, Float: math.NaN()}},
	} {
		print := prints.Of(row...)
		if other, ok := seen[print]; ok {
			t.Errorf("rows %d and %d have the same fingerprint", number, other)
		}
		seen[print] = number
		if prints.Of(row...) != print {
			t.Errorf("row %d has two fingerprints", number)
		}
	}
	quiet := Value{Set: true, Float: math.Float64frombits(0x7ff8000000000001)}
	if prints.Of(quiet) != prints.Of(Value{Set: true, Float: math.NaN()}) {
		t.Error("two values of not-a-number differ")
	}
}

func TestKeysOfDifferentIDsDiffer(t *testing.T) {
	if KeyOf([]byte("a")) == KeyOf([]byte("b")) || KeyOf([]byte("a")) != KeyOf([]byte("a")) {
		t.Error("keys do not follow their ids")
	}
}

func TestBitsRemember(t *testing.T) {
	var bits Bits
	for _, number := range []int64{0, 63, 64, 1000, 64} {
		bits.Set(number)
	}
	if bits.Count() != 4 || !bits.Has(1000) || bits.Has(999) || bits.Has(1<<40) {
		t.Errorf("got %d bits: %v", bits.Count(), bits)
	}
}
