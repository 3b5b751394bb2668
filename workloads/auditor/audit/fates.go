package audit

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/trips"
)

// classify applies the documented rules to every row of the month in bronze, and compares silver and fct_trips with the
// result.
//
// Only rows of the month's current version count; the others are superseded. Of a repeated event the earliest arrival is
// kept; then invalid trips are rejected; then of each trip the latest arrival is kept. Rows of the same event, or of the same trip, have the same key, so a pass over a part of the keys sees all of
// them.
func classify(ctx context.Context, job Job, version string, bronzeRows int64) (*tally, error) {
	passes := max(1, (bronzeRows+job.RowsAPass-1)/job.RowsAPass)
	var firsts rows.Bits
	var current int64
	for pass := range passes {
		if err := job.Say(fmt.Sprintf("Looking for repeated events: pass %d of %d", pass+1, passes)); err != nil {
			return nil, err
		}
		var err error
		if current, err = findFirsts(ctx, job, version, part{pass, passes}, &firsts); err != nil {
			return nil, err
		}
	}
	found := newTally(bronzeRows-current, current-firsts.Count())
	for pass := range passes {
		if err := job.Say(fmt.Sprintf("Comparing trips: pass %d of %d", pass+1, passes)); err != nil {
			return nil, err
		}
		if err := found.compare(ctx, job, part{pass, passes}, firsts); err != nil {
			return nil, err
		}
	}
	if err := found.readRejected(ctx, job); err != nil {
		return nil, err
	}
	return found, nil
}

// part is one of several equal parts of all keys.
type part struct{ number, of int64 }

func (p part) has(key rows.Key) bool {
	return (int64(key[0])<<8|int64(key[1]))*p.of>>16 == p.number
}

// arrival is the time and place at which an event was ingested.
type arrival struct{ ingestedAt, partition, offset int64 }

func (a arrival) compare(other arrival) int {
	return cmp.Or(
		cmp.Compare(a.ingestedAt, other.ingestedAt), cmp.Compare(a.partition, other.partition), cmp.Compare(a.offset, other.offset))
}

func monthOf(job Job) lake.Months { return lake.Months{Column: MonthColumn, Month: job.Month.Text} }

// findFirsts marks the earliest arrival of each event of a version, by its number in the scan, and counts the version's
// rows.
func findFirsts(ctx context.Context, job Job, version string, part part, firsts *rows.Bits) (int64, error) {
	type first struct {
		arrival
		row int64
	}
	earliest := map[rows.Key]first{}
	var number, current int64
	all := trips.Bronze()
	columns := []lake.Column{
		all[trips.EventID], all[trips.IngestedAt], all[trips.KafkaPartition], all[trips.KafkaOffset], all[trips.SourceVersion],
	}
	err := job.Tables.Bronze.Scan(ctx, monthOf(job), columns, func(row []rows.Value) error {
		this := first{arrival{row[1].Int, row[2].Int, row[3].Int}, number}
		number++
		if !row[4].Set || string(row[4].Text) != version {
			return nil
		}
		current++
		key := rows.KeyOf(row[0].Text)
		if !part.has(key) {
			return nil
		}
		if other, ok := earliest[key]; !ok || this.compare(other.arrival) < 0 {
			earliest[key] = this
		}
		return nil
	})
	for _, event := range earliest {
		firsts.Set(event.row)
	}
	return current, err
}

// trip is a trip as bronze requires it, and whether silver and fct_trips have it.
type trip struct {
	latest   arrival
	expected uint64
	asFact   uint64 // the fingerprint that fct_trips should have, according to silver
	valid    bool   // whether bronze has it
	rounded  bool   // whether silver has rounded an amount
	vendor   bool   // whether it has a vendor
	inSilver bool
	inFacts  bool
}

func (t *tally) compare(ctx context.Context, job Job, part part, firsts rows.Bits) error {
	all := map[rows.Key]trip{}
	if err := t.expect(ctx, job, part, firsts, all); err != nil {
		return err
	}
	if err := t.seeSilver(ctx, job, part, all); err != nil {
		return err
	}
	if err := t.seeFacts(ctx, job, part, all); err != nil {
		return err
	}
	for key, trip := range all {
		name := "trip_id " + hex.EncodeToString(key[:])
		if trip.valid && !trip.inSilver {
			t.silver.missing.add(name)
		}
		if trip.inSilver && !trip.inFacts {
			t.facts.missing.add(name)
		}
		if trip.valid && trip.rounded {
			t.rounded++
		}
		if trip.valid && !trip.vendor {
			t.withoutVendor++
		}
	}
	return nil
}

// expect determines the trips that silver should hold, and counts the rejected events.
func (t *tally) expect(ctx context.Context, job Job, part part, firsts rows.Bits, all map[rows.Key]trip) error {
	var number int64
	var prints rows.Fingerprint
	cleaned := make([]rows.Value, trips.SilverColumns)
	return job.Tables.Bronze.Scan(ctx, monthOf(job), trips.Bronze(), func(event []rows.Value) error {
		number++
		if !firsts.Has(number - 1) {
			return nil
		}
		if reason := job.Month.Reject(event); reason != "" {
			if part.number == 0 {
				t.rejected.add(event[trips.EventID], reason)
			}
			return nil
		}
		key := trips.Clean(event, cleaned)
		if !part.has(key) {
			return nil
		}
		this := arrival{event[trips.IngestedAt].Int, event[trips.KafkaPartition].Int, event[trips.KafkaOffset].Int}
		other, known := all[key]
		if known {
			t.repeatedTrips++
		}
		if !known || this.compare(other.latest) > 0 {
			all[key] = trip{
				latest: this, valid: true, expected: prints.Of(cleaned...),
				rounded: trips.IsRounded(event), vendor: cleaned[trips.TripVendorID].Set,
			}
		}
		return nil
	})
}

func (t *tally) seeSilver(ctx context.Context, job Job, part part, all map[rows.Key]trip) error {
	var prints rows.Fingerprint
	return t.silver.see(ctx, job, part, job.Tables.Silver, trips.Silver, t.silverMoney, func(key rows.Key, name string, row []rows.Value) (repeated bool) {
		trip := all[key]
		switch {
		case !trip.valid:
			t.silver.unexpected.add(name)
		case prints.Of(row...) != trip.expected:
			t.silver.differing.add(name)
		}
		repeated = trip.inSilver
		trip.inSilver = true
		trip.asFact = prints.Of(row[:trips.FactColumns]...)
		all[key] = trip
		return repeated
	})
}

func (t *tally) seeFacts(ctx context.Context, job Job, part part, all map[rows.Key]trip) error {
	var prints rows.Fingerprint
	return t.facts.see(ctx, job, part, job.Tables.Facts, trips.Facts, t.factsMoney, func(key rows.Key, name string, row []rows.Value) (repeated bool) {
		trip := all[key]
		switch {
		case !trip.inSilver:
			t.facts.unexpected.add(name)
		case prints.Of(row...) != trip.asFact:
			t.facts.differing.add(name)
		}
		repeated = trip.inFacts
		trip.inFacts = true
		all[key] = trip
		return repeated
	})
}

// see counts a table's rows and money in the first pass only, and compares each row of this part.
func (c *comparison) see(ctx context.Context, job Job, part part, table Table, columns []lake.Column, sums money,
	compare func(key rows.Key, name string, row []rows.Value) (repeated bool),
) error {
	return table.Scan(ctx, monthOf(job), columns, func(row []rows.Value) error {
		if part.number == 0 {
			c.rows++
			if err := sums.add(row); err != nil {
				return err
			}
		}
		key, name := takeID(row)
		if part.has(key) && compare(key, name, row) {
			c.repeated.add(name)
		}
		return nil
	})
}

// takeID takes the trip's id out of a row: the id is the key, so it need not be compared again as a value.
func takeID(row []rows.Value) (key rows.Key, name string) {
	id := row[trips.TripID].Text
	row[trips.TripID] = rows.Value{}
	name = "trip_id " + string(id)
	decoded, err := hex.DecodeString(string(id))
	if err != nil || len(decoded) != len(key) || hex.EncodeToString(decoded) != string(id) {
		return rows.KeyOf(id), name // not an MD5 in lower-case hexadecimal, so no trip of bronze has this key
	}
	return rows.Key(decoded), name
}
