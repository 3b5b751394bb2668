package audit

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

const (
	month   = "2024-01"
	current = "sha256-0123456789abcdef.01234567"
)

// sentAt is in March 2024.
var sentAt = whole(time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro())

// values is a row of a fake table, by column name; a missing column is null.
type values map[string]rows.Value

// fakeTable is a table in memory.
type fakeTable []values

func (f *fakeTable) Scan(_ context.Context, months lake.Months, columns []lake.Column, see func([]rows.Value) error) error {
	for _, held := range *f {
		of := held[months.Column]
		if of.Set && string(of.Text) != months.Month || !of.Set && !months.None {
			continue
		}
		row := make([]rows.Value, len(columns))
		for place, column := range columns {
			row[place] = held[column.Name]
		}
		if err := see(row); err != nil {
			return err
		}
	}
	return nil
}

// fakeTopic has one partition; the values of its records are the indexes of events, or nonsense.
type fakeTopic struct {
	bounds  []topic.Partition
	records []topic.Record
	events  []values
}

func (f *fakeTopic) ID() string                { return "topic" }
func (f *fakeTopic) Bounds() []topic.Partition { return f.bounds }

func (f *fakeTopic) Read(_ context.Context, see func(topic.Record) error) error {
	for _, record := range f.records {
		if err := see(record); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeTopic) Decode(_ context.Context, value []byte, row []rows.Value) (bool, error) {
	clear(row)
	if len(value) != 8 {
		return false, nil
	}
	for place, column := range trips.Event {
		row[place] = f.events[binary.BigEndian.Uint64(value)][column.Name]
	}
	return true, nil
}

// fakePublished is a table with the numbers of rows by month in each snapshot; the last snapshot is the current one.
type fakePublished struct {
	oldest    float64
	snapshots []string
	rows      []map[string]int64
}

func (f *fakePublished) Snapshot() string                { return f.snapshots[len(f.snapshots)-1] }
func (f *fakePublished) OldestSnapshot() (float64, bool) { return f.oldest, true }

func (f *fakePublished) Count(_ context.Context, snapshot string, months []string) (int64, bool, error) {
	place := slices.Index(f.snapshots, snapshot)
	if place < 0 {
		return 0, false, nil
	}
	var count int64
	for month, rows := range f.rows[place] {
		if months == nil || slices.Contains(months, month) {
			count += rows
		}
	}
	return count, true, nil
}

// commit adds a snapshot in which a month has another number of rows.
func (f *fakePublished) commit(name, month string, rows int64) {
	now := maps.Clone(f.rows[len(f.rows)-1])
	now[month] = rows
	f.snapshots, f.rows = append(f.snapshots, name), append(f.rows, now)
}

func text(of string) rows.Value      { return rows.Value{Set: true, Text: []byte(of)} }
func whole(of int64) rows.Value      { return rows.Value{Set: true, Int: of} }
func fraction(of float64) rows.Value { return rows.Value{Set: true, Float: of} }

// event is the trip of the month with this number, which costs as many dollars.
func event(number int) values {
	pickup := time.Date(2024, 1, 1+number%28, 12, 0, number, 0, time.UTC).UnixMicro()
	return values{
		"event_id": text(fmt.Sprint("e", number)), "trip_month": text(month), "sent_at": sentAt,
		"source_version": text(current), "unknown_columns": rows.Texts(map[string]rows.Value{"colour": text("red")}),
		"VendorID": whole(1), "tpep_pickup_datetime": whole(pickup), "tpep_dropoff_datetime": whole(pickup + 60_000_000),
		"trip_distance": fraction(1), "fare_amount": fraction(float64(number)), "total_amount": fraction(float64(number)),
	}
}

// world is a month as the pipeline leaves it, made in the simplest way.
type world struct {
	topic, versions                               fakeTopic
	bronze, silver, rejected, facts, dailyRevenue fakeTable
	receipts                                      Receipts
	hourly, dates                                 fakePublished // published by month, and as a whole
	rowsAPass                                     int64
}

// send adds events to the topic and to bronze, in one ingestion.
func (w *world) send(ingestedAt int64, events ...values) {
	for _, event := range events {
		w.sendRaw(ingestedAt, event, binary.BigEndian.AppendUint64(nil, uint64(len(w.topic.events))))
		w.topic.events = append(w.topic.events, event)
	}
	w.topic.bounds[0].End++ // the end of the transaction
}

func (w *world) sendRaw(ingestedAt int64, event values, value []byte) {
	row := values{}
	maps.Copy(row, event)
	row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"] = text("topic"), whole(0), whole(w.topic.bounds[0].End)
	row["ingested_at"] = whole(ingestedAt)
	w.topic.records = append(w.topic.records, topic.Record{Offset: w.topic.bounds[0].End, Value: value})
	w.topic.bounds[0].End++
	if len(event) == 0 {
		row["undecodable_reason"], row["undecodable_value"] = text("nonsense"), rows.Value{Set: value != nil, Text: value}
	}
	w.bronze = append(w.bronze, row)
}

// name adds a record to the topic of month versions.
func (w *world) name(key, value string) {
	w.versions.records = append(w.versions.records, topic.Record{Key: []byte(key), Value: []byte(value)})
}

// keep adds the trip of a row of bronze to silver and the marts.
func (w *world) keep(row values) {
	event := make([]rows.Value, trips.BronzeColumns)
	for place, column := range trips.Bronze() {
		event[place] = row[column.Name]
	}
	cleaned := make([]rows.Value, trips.SilverColumns)
	id := trips.Clean(event, cleaned)
	trip := values{"trip_month": text(month)}
	for place, column := range trips.Silver {
		trip[column.Name] = cleaned[place]
	}
	trip["trip_id"] = text(hex.EncodeToString(id[:]))
	w.silver = append(w.silver, trip)
	w.facts = append(w.facts, maps.Clone(trip))
	for _, day := range w.dailyRevenue {
		if day["pickup_date"].Int == trip["pickup_date"].Int {
			day["trips"] = whole(day["trips"].Int + 1)
			day["fare_amount_usd"] = whole(day["fare_amount_usd"].Int + trip["fare_amount_usd"].Int)
			day["total_amount_usd"] = whole(day["total_amount_usd"].Int + trip["total_amount_usd"].Int)
			return
		}
	}
	w.dailyRevenue = append(w.dailyRevenue, values{
		"trip_month": text(month), "pickup_date": trip["pickup_date"], "trips": whole(1),
		"fare_amount_usd": trip["fare_amount_usd"], "tip_amount_usd": whole(0), "tolls_amount_usd": whole(0),
		"total_amount_usd": trip["total_amount_usd"],
	})
}

// healthy is a month without faults: 40 trips, of which one was sent twice, one was sent again under another id, and one
// is invalid; an event of another month; and two undecodable records.
func healthy() *world {
	w := &world{rowsAPass: 7}
	w.topic.bounds = []topic.Partition{{Number: 0}}
	var events []values
	for number := range 40 {
		events = append(events, event(number))
	}
	delete(events[39], "trip_distance")
	again := event(3)
	again["event_id"] = text("again")
	other := event(5)
	other["trip_month"] = text("2024-02")
	w.send(1, events...)
	w.sendRaw(1, nil, []byte("no Avro"))
	w.sendRaw(1, nil, nil)
	w.send(2, event(7), again, other)
	for place, row := range w.bronze {
		if number := place; number < 39 && number != 3 || place == 43 {
			w.keep(row)
		}
	}
	w.rejected = fakeTable{{"trip_month": text(month), "event_id": text("e39"), "rejection_reason": text("distance_missing")}}
	w.versions.bounds = []topic.Partition{{Number: 0}}
	w.name(month, `{"source": "synthetic", "source_version": "older"}`)
	w.name(month+"/sending", `{"source_version": "newer"}`)
	w.name("2024-02", `{"source_version": "another month's"}`)
	w.name(month, `{"source": "tlc_file", "source_version": "`+current+`", "source_name": "yellow_tripdata_2024-01.csv",
		"events": 42, "topic_id": "topic", "offsets": {"0": [0, 44]}}`)
	w.report()
	return w
}

// report makes the receipts of a healthy month.
func (w *world) report() {
	extras := `{"generate_events": {"recorded_at_s": 10, "events_in_version": 42, "offsets": {"0": [0, 44]},
			"source": "tlc_file", "source_version": "` + current + `"},
		"bronze/raw_trips": {"recorded_at_s": 20, "duration_s": 5.5, "dagster/row_count": 42},
		"silver/cleaned_trips": {"recorded_at_s": 30, "rows_read": 42, "rows_written": 39, "rows_rejected": 1, "duplicates": 2,
			"rows_superseded": 0, "rows_rounded": 0, "rows_without_vendor": 0,
			"source": "tlc_file", "source_version": "` + current + `", "source_name": "yellow_tripdata_2024-01.csv"},
		"published": {
			"marts/hourly": {"recorded_at_s": 40, "dagster/row_count": 20, "snapshot_id": "2", "months": ["2024-01"]},
			"marts/dates": {"recorded_at_s": 40, "dagster/row_count": 31, "snapshot_id": "7", "months": null}
		}}`
	w.hourly = fakePublished{5, []string{"1", "2"}, []map[string]int64{{"2023-12": 9}, {"2023-12": 9, month: 20}}}
	w.dates = fakePublished{5, []string{"7"}, []map[string]int64{{"": 31}}}
	if err := json.Unmarshal([]byte(extras), &w.receipts); err != nil {
		panic(err)
	}
}
