package audit

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

const month = "2024-01"

// values is a row of a fake table by its columns' names; a column that is not there is null.
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

// fakeTopic has one partition, and its records' values are the places of events, or nonsense.
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

func text(of string) rows.Value      { return rows.Value{Set: true, Text: []byte(of)} }
func whole(of int64) rows.Value      { return rows.Value{Set: true, Int: of} }
func fraction(of float64) rows.Value { return rows.Value{Set: true, Float: of} }

// event is the number-th trip of the month, and worth as many dollars.
func event(number int) values {
	pickup := time.Date(2024, 1, 1+number%28, 12, 0, number, 0, time.UTC).UnixMicro()
	return values{
		"event_id": text(fmt.Sprint("e", number)), "trip_month": text(month), "sent_at": whole(1),
		"VendorID": whole(1), "tpep_pickup_datetime": whole(pickup), "tpep_dropoff_datetime": whole(pickup + 60_000_000),
		"trip_distance": fraction(1), "fare_amount": fraction(float64(number)), "total_amount": fraction(float64(number)),
	}
}

// world is a month as the pipeline leaves it, made by the shortest means.
type world struct {
	topic                                         fakeTopic
	bronze, silver, rejected, facts, dailyRevenue fakeTable
	receipts                                      Receipts
	rowsAPass                                     int64
}

// send puts events into topic and bronze, as of one ingestion.
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

// keep puts the trip of a row of bronze into silver and the marts.
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

// healthy is a month in order: 40 trips, of which one was sent twice, one anew under another id, and one is invalid;
// another month's event, and two records that nobody can decode.
func healthy() *world {
	w := &world{rowsAPass: 7}
	w.topic.bounds = []topic.Partition{{Number: 0}}
	var events []values
	for number := range 40 {
		events = append(events, event(number))
	}
	delete(events[39], "trip_distance")
	anew := event(3)
	anew["event_id"] = text("anew")
	other := event(5)
	other["trip_month"] = text("2024-02")
	w.send(1, events...)
	w.sendRaw(1, nil, []byte("no Avro"))
	w.sendRaw(1, nil, nil)
	w.send(2, event(7), anew, other)
	for place, row := range w.bronze {
		if number := place; number < 39 && number != 3 || place == 43 {
			w.keep(row)
		}
	}
	w.rejected = fakeTable{{"trip_month": text(month), "event_id": text("e39"), "rejection_reason": text("distance_missing")}}
	w.report()
	return w
}

// report makes the receipts of a healthy month.
func (w *world) report() {
	extras := `{"generate_events": {"recorded_at_s": 10, "events_committed": 42, "offsets": {"0": [0, 44]}},
		"bronze/raw_trips": {"recorded_at_s": 20, "duration_s": 5.5, "dagster/row_count": 42},
		"silver/cleaned_trips": {"rows_read": 42, "rows_written": 39, "rows_rejected": 1, "duplicates": 2}}`
	if err := json.Unmarshal([]byte(extras), &w.receipts); err != nil {
		panic(err)
	}
}

func (w *world) audit(t *testing.T) Result {
	t.Helper()
	parsed, err := trips.ParseMonth(month)
	if err != nil {
		t.Fatal(err)
	}
	result, err := Run(context.Background(), Job{
		Month: parsed, Topic: &w.topic, Decoder: &w.topic, Receipts: w.receipts, RowsAPass: w.rowsAPass,
		Tables: Tables{&w.bronze, &w.silver, &w.rejected, &w.facts, &w.dailyRevenue},
		Say:    func(string) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

const (
	once      = "every_record_is_in_bronze_once"
	accounted = "every_bronze_row_is_accounted_for"
	unique    = "silver_trip_ids_are_unique"
	published = "published_trips_are_silvers"
	same      = "money_is_the_same_everywhere"
	confirmed = "receipts_are_confirmed"
)

func TestAHealthyMonthPassesWithItsNumbers(t *testing.T) {
	for _, rowsAPass := range []int64{1, 7, 1000} {
		w := healthy()
		w.rowsAPass = rowsAPass
		result := w.audit(t)
		for _, check := range result.Checks {
			if !check.Passed {
				t.Errorf("%s: %s", check.Name, check.Finding)
			}
		}
		got := result.Counts
		got.TopicSeconds, got.TablesSeconds = 0, 0
		want := Counts{
			RecordsRead: 45, RecordsAudited: 42, RecordsUndecodable: 2, RowsInBronze: 42, RowsInSilver: 39, RowsInFacts: 39,
			RowsRejected: 1, RowsUndecodable: 2, Duplicates: 2, TotalCents: 39 * 19 * 100,
		}
		if got != want {
			t.Errorf("%d rows a pass: expected %+v, got %+v", rowsAPass, want, got)
		}
	}
}

// faults are things that can go wrong, each with the checks that must see it.
var faults = map[string]struct {
	harm   func(w *world)
	seenBy map[string]string // check, and what it must say
}{
	"a row of bronze is lost": {
		func(w *world) { w.bronze = slices.Delete(w.bronze, 10, 11) },
		map[string]string{
			once:      "1 committed records of the topic have no row in bronze.raw_trips (partition 0 offset 10)",
			accounted: "rows of silver.cleaned_trips are no valid trip of bronze",
			confirmed: "bronze/raw_trips reported dagster/row_count 42, and there are only 41",
		},
	},
	"the last rows of bronze are lost, and they were sent before": {
		func(w *world) { w.bronze = w.bronze[:len(w.bronze)-3] },
		map[string]string{
			once:      "2 committed records of the topic have no row",
			accounted: "trip_id", confirmed: "dagster/row_count 42, and there are only 40",
		},
	},
	"a row of bronze is there twice": {
		func(w *world) { w.bronze = append(w.bronze, w.bronze[10]) },
		map[string]string{once: "1 rows of bronze.raw_trips are there more than once (partition 0 offset 10)"},
	},
	"a row of bronze is no record": {
		func(w *world) {
			row := maps.Clone(w.bronze[10])
			row["kafka_offset"] = whole(40) // the end of a transaction
			w.bronze = append(w.bronze, row)
		},
		map[string]string{once: "1 rows of bronze.raw_trips are no committed record of the topic (partition 0 offset 40)"},
	},
	"a row of bronze has another value than its record": {
		func(w *world) { w.bronze[10]["store_and_fwd_flag"] = text("Y") },
		map[string]string{
			once:      "have other values than their record (partition 0 offset 10)",
			accounted: "rows of silver.cleaned_trips have other values than bronze gives",
		},
	},
	"an undecodable record is lost": {
		func(w *world) {
			w.bronze = slices.DeleteFunc(w.bronze, func(row values) bool { return row["kafka_offset"].Int == 41 })
		},
		map[string]string{once: "(partition 0 offset 41)"},
	},
	"a decodable record passes for an undecodable one": {
		func(w *world) {
			w.bronze[10] = maps.Clone(w.bronze[10])
			delete(w.bronze[10], "trip_month")
			w.bronze[10]["undecodable_reason"] = text("nonsense")
		},
		map[string]string{once: "have no row", accounted: "no valid trip of bronze", confirmed: "only 41"},
	},
	"a row of bronze has neither month nor reason": {
		func(w *world) { w.bronze = append(w.bronze, values{"kafka_topic_id": text("earlier")}) },
		map[string]string{accounted: "1 rows of bronze.raw_trips have neither month nor reason, or both"},
	},
	"a row of silver is lost": {
		func(w *world) { w.silver = w.silver[1:] },
		map[string]string{
			accounted: "1 trips of bronze are not in silver.cleaned_trips (trip_id ", published: "1 rows of marts.fct_trips are no trip of silver",
			same: "2024-01-01: silver.cleaned_trips and marts.fct_trips have trips", confirmed: "rows_written 39, and there are 38",
		},
	},
	"a row of silver is there twice": {
		func(w *world) { w.silver = append(w.silver, w.silver[5]) },
		map[string]string{
			accounted: "44 rows of bronze.raw_trips became 45", unique: "1 rows of silver.cleaned_trips repeat another one's trip_id",
			same: "days have other sums", confirmed: "rows_written 39, and there are 40",
		},
	},
	"a row of silver has another value than bronze": {
		func(w *world) { w.silver[5]["passenger_count"] = whole(9) },
		map[string]string{
			accounted: "1 rows of silver.cleaned_trips have other values than bronze gives",
			published: "1 rows of marts.fct_trips have other values than silver",
		},
	},
	"the earlier of two arrivals of a trip is kept": {
		func(w *world) { w.silver[3]["event_id"], w.facts[3]["event_id"] = text("e3"), text("e3") },
		map[string]string{accounted: "have other values than bronze gives"},
	},
	"a trip's id is written in capitals": {
		func(w *world) {
			for _, trips := range []fakeTable{w.silver, w.facts} {
				trips[5]["trip_id"] = text(strings.ToUpper(string(trips[5]["trip_id"].Text)))
			}
		},
		map[string]string{accounted: "are no valid trip of bronze"},
	},
	"a rejected row is lost": {
		func(w *world) { w.rejected = nil },
		map[string]string{accounted: "1 events are to be rejected for distance_missing, and silver.rejected_trips has 0"},
	},
	"another event was rejected": {
		func(w *world) { w.rejected[0]["event_id"] = text("e38") },
		map[string]string{accounted: "silver.rejected_trips has other events"},
	},
	"a trip is not published": {
		func(w *world) { w.facts = w.facts[1:] },
		map[string]string{published: "1 trips of silver are not in marts.fct_trips", same: "days have other sums"},
	},
	"a trip is published twice": {
		func(w *world) { w.facts = append(w.facts, w.facts[5]) },
		map[string]string{published: "1 rows of marts.fct_trips repeat another one's trip_id", same: "days have other sums"},
	},
	"a cent is lost on the way to a day's revenue": {
		func(w *world) {
			w.dailyRevenue[4]["total_amount_usd"] = whole(w.dailyRevenue[4]["total_amount_usd"].Int - 1)
		},
		map[string]string{same: "1 days have other sums in the marts than in silver (2024-01-0"},
	},
	"a step reported other numbers": {
		func(w *world) { w.receipts.Silver.Duplicates, w.receipts.Silver.Rejected = 1, 2 },
		map[string]string{confirmed: "silver/cleaned_trips reported rows_rejected 2, and there are 1; silver/cleaned_trips reported duplicates 1, and there are 2"},
	},
	"more was reported than was sent": {
		func(w *world) { w.receipts.Generated.Committed = 43 },
		map[string]string{confirmed: "generate_events reported events_committed 43, and there are only 42"},
	},
	"a step has no report": {
		func(w *world) { w.receipts.Bronze = nil },
		map[string]string{confirmed: "bronze/raw_trips has no report"},
	},
}

func TestWhateverIsWrongIsSeenByTheChecksThatItConcerns(t *testing.T) {
	for name, fault := range faults {
		w := healthy()
		fault.harm(w)
		for _, check := range w.audit(t).Checks {
			want, harmed := fault.seenBy[check.Name]
			switch {
			case check.Passed == harmed:
				t.Errorf("%s: %s passed: %v; %s", name, check.Name, check.Passed, check.Finding)
			case !strings.Contains(check.Finding, want):
				t.Errorf("%s: %s should say %q, and says %s", name, check.Name, want, check.Finding)
			}
		}
	}
}

func find(t *testing.T, result Result, name string) Check {
	t.Helper()
	for _, check := range result.Checks {
		if check.Name == name {
			return check
		}
	}
	t.Fatalf("no check %s", name)
	return Check{}
}

func TestWhatWasSentAfterBronzeLastReadIsNotMissing(t *testing.T) {
	w := healthy()
	w.send(3, event(50))
	w.bronze = w.bronze[:len(w.bronze)-1]
	check := find(t, w.audit(t), once)
	if !check.Passed || check.Numbers["records_pending"] != int64(1) {
		t.Errorf("got %+v", check)
	}
	w.receipts.Generated.Offsets["0"] = [2]int64{0, w.topic.bounds[0].End - 2}
	if check := find(t, w.audit(t), once); check.Passed {
		t.Error("what was sent before bronze read may be missing")
	}
	w.receipts.Generated.RecordedAt = 19
	if check := find(t, w.audit(t), once); !check.Passed {
		t.Errorf("bronze had begun before: %s", check.Finding)
	}
}

func TestWhatRetentionTookIsNotMissing(t *testing.T) {
	w := healthy()
	w.topic.bounds[0].Start = 12
	result := w.audit(t)
	for _, check := range result.Checks {
		if !check.Passed {
			t.Errorf("%s: %s", check.Name, check.Finding)
		}
	}
	if got := find(t, result, once).Numbers; got["rows_beyond_retention"] != int64(12) || got["records_audited"] != int64(30) {
		t.Errorf("got %v", got)
	}
	if confirmed, told := find(t, result, confirmed).Numbers["events_confirmed"]; !told || confirmed != nil {
		t.Errorf("nobody can count what was sent, and %v was", confirmed)
	}
}

func TestRowsOfATopicThatWasMadeAnewAreNotJudgedByTheNewOne(t *testing.T) {
	w := healthy()
	for _, row := range w.bronze {
		row["kafka_topic_id"] = text("earlier")
	}
	w.topic.records, w.topic.bounds[0].End = nil, 0
	for _, check := range w.audit(t).Checks {
		if !check.Passed {
			t.Errorf("%s: %s", check.Name, check.Finding)
		}
	}
}

func TestAMonthSentAgainConfirmsTheReportsOfBefore(t *testing.T) {
	w := healthy()
	w.send(3, event(0), event(1))
	for _, check := range w.audit(t).Checks {
		if !check.Passed {
			t.Errorf("%s: %s", check.Name, check.Finding)
		}
	}
}

func TestOffsetsAreFoundAcrossGaps(t *testing.T) {
	var held offsets
	for _, offset := range []int64{3, 4, 9, 11, 12, 13} {
		held.add(offset, uint64(offset))
	}
	var found []int64
	for offset := range int64(16) {
		if place, ok := held.place(offset); ok {
			if held.prints[place] != uint32(offset) {
				t.Errorf("offset %d has the fingerprint of %d", offset, held.prints[place])
			}
			found = append(found, offset)
		}
	}
	if !slices.Equal(found, []int64{3, 4, 9, 11, 12, 13}) || held.count(4, 12) != 3 || len(held.runs) != 3 {
		t.Errorf("got %v", found)
	}
	if held.count(5, 9) != 0 {
		t.Error("a gap holds records")
	}
}

func TestMoneyBeyond64BitsIsRefused(t *testing.T) {
	sum := money{}
	if err := sum.addAll(1, [sums]int64{1, 1 << 62, 0, 0, -1 << 63}); err != nil {
		t.Fatal(err)
	}
	for _, values := range [][sums]int64{{1, 1 << 62}, {0, 0, 0, 0, -1}} {
		if err := sum.addAll(1, values); err == nil {
			t.Errorf("%v was added", values)
		}
	}
}
