package lake

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"

	"drayage/workloads/auditor/rows"
)

// converter returns a function that converts a file's column to values of an Iceberg type.
//
// Source: Iceberg specification, "Parquet" under "Appendix A: Format-specific Requirements".
func converter(leaf *parquet.Column, typ string) (func(parquet.Value) (rows.Value, error), error) {
	if !leaf.Leaf() || leaf.MaxRepetitionLevel() > 0 {
		return nil, errors.New("it is nested")
	}
	kind, logical := leaf.Type().Kind(), leaf.Type().LogicalType()
	switch {
	case (typ == "string" || typ == "binary") && kind == parquet.ByteArray:
		return func(value parquet.Value) (rows.Value, error) {
			return rows.Value{Set: true, Text: value.ByteArray()}, nil
		}, nil
	case (typ == "int" || typ == "long" || typ == "date") && kind == parquet.Int32:
		return func(value parquet.Value) (rows.Value, error) { return whole(int64(value.Int32())) }, nil
	case typ == "long" && kind == parquet.Int64:
		return func(value parquet.Value) (rows.Value, error) { return whole(value.Int64()) }, nil
	case typ == "double" && kind == parquet.Double:
		return func(value parquet.Value) (rows.Value, error) {
			return rows.Value{Set: true, Float: value.Double()}, nil
		}, nil
	case typ == "double" && kind == parquet.Float:
		return func(value parquet.Value) (rows.Value, error) {
			return rows.Value{Set: true, Float: float64(value.Float())}, nil
		}, nil
	case typ == "timestamp" && kind == parquet.Int64 && logical != nil && logical.Timestamp != nil && logical.Timestamp.Unit.Micros != nil:
		return func(value parquet.Value) (rows.Value, error) { return whole(value.Int64()) }, nil
	case strings.HasPrefix(typ, "decimal(") && logical != nil && logical.Decimal != nil:
		if stored := fmt.Sprintf(",%d)", logical.Decimal.Scale); !strings.HasSuffix(typ, stored) {
			return nil, fmt.Errorf("the file stores it with the scale %d, but the table's type is %s", logical.Decimal.Scale, typ)
		}
		return decimal(kind)
	}
	return nil, fmt.Errorf("the table's type is %s, but the file stores it as %s, which this auditor does not support", typ, leaf.Type())
}

func whole(number int64) (rows.Value, error) { return rows.Value{Set: true, Int: number}, nil }

func decimal(kind parquet.Kind) (func(parquet.Value) (rows.Value, error), error) {
	switch kind {
	case parquet.Int32:
		return func(value parquet.Value) (rows.Value, error) { return whole(int64(value.Int32())) }, nil
	case parquet.Int64:
		return func(value parquet.Value) (rows.Value, error) { return whole(value.Int64()) }, nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return func(value parquet.Value) (rows.Value, error) { return bigEndian(value.ByteArray()) }, nil
	default:
		return nil, fmt.Errorf("the file stores a decimal as %s, which this auditor does not support", kind)
	}
}

// bigEndian reads a number in two's complement, which may have more than 64 bits if its value fits into 64.
func bigEndian(digits []byte) (rows.Value, error) {
	var number int64
	if len(digits) > 0 && digits[0]&0x80 != 0 {
		number = -1
	}
	for _, digit := range digits {
		if shifted := number << 8; shifted>>8 != number {
			return rows.Value{}, fmt.Errorf("the decimal %x does not fit in 64 bits", digits)
		}
		number = number<<8 | int64(digit)
	}
	return whole(number)
}
