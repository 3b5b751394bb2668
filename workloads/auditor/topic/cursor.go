package topic

import (
	"encoding/binary"
	"math"

	"github.com/hamba/avro/v2"

	"drayage/workloads/auditor/rows"
)

// cursor reads a record in Avro's binary encoding; broken is set if the bytes do not fit the schema.
//
// No library reports whether bytes are left over, which makes a record undecodable; hence this code.
//
// Source: Apache Avro 1.12 specification, "Binary Encoding" and "Schema Resolution".
type cursor struct {
	left   []byte
	broken bool
}

const (
	microsPerMilli = 1000
	// Deeper than any real record; with a recursive schema, malformed bytes could otherwise nest without limit.
	deepest = 100
)

func (c *cursor) fail() { c.broken, c.left = true, nil }

func (c *cursor) take(count int64) []byte {
	if c.broken || count < 0 || count > int64(len(c.left)) {
		c.fail()
		return nil
	}
	taken := c.left[:count]
	c.left = c.left[count:]
	return taken
}

func (c *cursor) long() int64 {
	number, size := binary.Varint(c.left)
	if size <= 0 {
		c.fail()
		return 0
	}
	c.left = c.left[size:]
	return number
}

func (c *cursor) integer() int64 {
	number := c.long()
	if number != int64(int32(number)) {
		c.fail()
	}
	return number
}

// value reads a value of a kind; a value of another type breaks the cursor.
func (c *cursor) value(schema avro.Schema, kind Kind) rows.Value {
	switch typ := schema.Type(); {
	case c.broken || typ == avro.Null:
		return rows.Value{}
	case typ == avro.Union:
		branch := c.branch(schema.(*avro.UnionSchema))
		if branch == nil {
			return rows.Value{}
		}
		return c.value(branch, kind)
	case kind == Text && (typ == avro.String || typ == avro.Bytes):
		return rows.Value{Set: true, Text: c.take(c.long())}
	case kind == Time && typ == avro.Long:
		return rows.Value{Set: true, Int: c.long() * microsPerMilli}
	case kind == Long && typ == avro.Long:
		return rows.Value{Set: true, Int: c.long()}
	case kind == Long && typ == avro.Int:
		return rows.Value{Set: true, Int: c.integer()}
	case kind == Double && typ == avro.Long:
		return rows.Value{Set: true, Float: float64(c.long())}
	case kind == Double && typ == avro.Int:
		return rows.Value{Set: true, Float: float64(c.integer())}
	case kind == Double && typ == avro.Double:
		return rows.Value{Set: true, Float: c.double()}
	case kind == Double && typ == avro.Float:
		return rows.Value{Set: true, Float: c.float()}
	case kind == Texts && typ == avro.Map:
		return c.texts(schema.(*avro.MapSchema))
	}
	c.fail()
	return rows.Value{}
}

// texts reads a map whose values are texts or null.
func (c *cursor) texts(schema *avro.MapSchema) rows.Value {
	entries := map[string]rows.Value{}
	c.blocks(func() {
		key := string(c.take(c.long()))
		entries[key] = c.value(schema.Values(), Text)
	})
	return rows.Texts(entries)
}

func (c *cursor) double() float64 {
	if taken := c.take(8); taken != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(taken))
	}
	return 0
}

func (c *cursor) float() float64 {
	if taken := c.take(4); taken != nil {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(taken)))
	}
	return 0
}

func (c *cursor) branch(union *avro.UnionSchema) avro.Schema {
	number := c.long()
	if c.broken || number < 0 || number >= int64(len(union.Types())) {
		c.fail()
		return nil
	}
	return union.Types()[number]
}

// skip skips a value of any type.
func (c *cursor) skip(schema avro.Schema) { c.skipNested(schema, deepest) }

func (c *cursor) skipNested(schema avro.Schema, deeper int) {
	if c.broken || deeper == 0 {
		c.fail()
		return
	}
	switch typed := schema.(type) {
	case *avro.UnionSchema:
		if branch := c.branch(typed); branch != nil {
			c.skipNested(branch, deeper-1)
		}
	case *avro.RecordSchema:
		for _, field := range typed.Fields() {
			c.skipNested(field.Type(), deeper-1)
		}
	case *avro.RefSchema:
		c.skipNested(typed.Schema(), deeper-1)
	case *avro.ArraySchema:
		c.blocks(func() { c.skipNested(typed.Items(), deeper-1) })
	case *avro.MapSchema:
		c.blocks(func() { c.take(c.long()); c.skipNested(typed.Values(), deeper-1) })
	case *avro.FixedSchema:
		c.take(int64(typed.Size()))
	case *avro.EnumSchema:
		c.integer()
	default:
		c.skipPrimitive(schema.Type())
	}
}

func (c *cursor) skipPrimitive(typ avro.Type) {
	switch typ {
	case avro.Null:
	case avro.Boolean:
		c.take(1)
	case avro.Int, avro.Long:
		c.long()
	case avro.Float:
		c.take(4)
	case avro.Double:
		c.take(8)
	case avro.String, avro.Bytes:
		c.take(c.long())
	default:
		c.fail()
	}
}

func (c *cursor) blocks(item func()) {
	for {
		count := c.long()
		if count < 0 { // the block's length in bytes follows
			count = -count
			c.long()
		}
		if count == 0 || c.broken {
			return
		}
		// Each item takes at least one byte: a list of nulls, which take none, is not supported and could be endless.
		if count > int64(len(c.left)) {
			c.fail()
			return
		}
		for range count {
			if item(); c.broken {
				return
			}
		}
	}
}
