package audit

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"testing"

	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

func (w *world) audit(t *testing.T) Result {
	t.Helper()
	parsed, err := trips.ParseMonth(month)
	if err != nil {
		t.Fatal(err)
	}
	result, err := Run(context.Background(), Job{
		Month: parsed, Topic: &w.topic, Versions: &w.versions, Decoder: &w.topic, Receipts: w.receipts, RowsAPass: w.rowsAPass,
		Tables:    Tables{&w.bronze, &w.silver, &w.rejected, &w.facts, &w.dailyRevenue},
		Published: map[string]Published{"marts/hourly": &w.hourly, "marts/dates": &w.dates},
		Say:       func(string) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// passes audits, and expects every check to pass.
func (w *world) passes(t *testing.T) Result {
	t.Helper()
	result := w.audit(t)
	for _, check := range result.Checks {
		if !check.Passed {
			t.Errorf("%s: %s", check.Name, check.Finding)
		}
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
		got := w.passes(t).Counts
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
	if want := "Each of 44 records has exactly one row in bronze.raw_trips; 1 later records are pending."; check.Finding != want {
		t.Errorf("expected %q, got %+v", want, check)
	}
	w.receipts.Generated.Offsets["0"] = [2]int64{0, w.topic.bounds[0].End - 2}
	if check := find(t, w.audit(t), once); check.Passed {
		t.Error("a record that was sent before bronze read is missing, and the check passed")
	}
	w.receipts.Generated.RecordedAt = 19
	if check := find(t, w.audit(t), once); !check.Passed {
		t.Errorf("bronze had started before the month was sent: %s", check.Finding)
	}
}

// sendOthers sends a trip of an earlier version, and one from before versions had names.
func (w *world) sendOthers() {
	earlier, unnamed := event(20), event(60)
	earlier["source_version"] = text("seed-42-events-10.01234567")
	delete(unnamed, "source_version")
	w.send(3, earlier, unnamed)
}

func TestRowsOfOtherVersionsAreSuperseded(t *testing.T) {
	for _, rowsAPass := range []int64{1, 7, 1000} {
		w := healthy()
		w.rowsAPass = rowsAPass
		w.sendOthers()
		// Silver read bronze before or after these rows came.
		for _, reported := range []int64{0, 1, 2} {
			w.receipts.Silver.Read, w.receipts.Silver.Superseded = 42+reported, reported
			if got := w.passes(t).Counts; got.RowsSuperseded != 2 || got.RowsInBronze != 44 || got.Duplicates != 2 {
				t.Errorf("%d rows a pass: got %+v", rowsAPass, got)
			}
		}
		w.receipts.Silver.Superseded = 1
		if check := find(t, w.audit(t), confirmed); check.Passed {
			t.Errorf("a superseded row that silver did not report passed: %s", check.Finding)
		}
	}
}

func TestOnlyTheVersionsOwnRecordsAreCounted(t *testing.T) {
	w := healthy()
	w.topic.events[10] = maps.Clone(w.topic.events[10])
	w.topic.events[10]["source_version"] = text("seed-42-events-10.01234567")
	w.bronze[10]["source_version"] = text("seed-42-events-10.01234567")
	w.silver, w.facts = slices.Delete(w.silver, 9, 10), slices.Delete(w.facts, 9, 10)
	numbers := find(t, w.audit(t), confirmed).Numbers
	if numbers["events_confirmed"] != int64(41) || numbers["version_events_confirmed"] != int64(41) {
		t.Errorf("got %v", numbers)
	}
}

func TestSilverIsComparedWithTheCurrentVersion(t *testing.T) {
	w := healthy()
	w.sendOthers()
	w.name(month, `{"source": "synthetic", "source_version": "seed-42-events-10.01234567", "source_name": "synthetic", "events": 1,
		"topic_id": "topic", "offsets": {"0": [47, 47]}}`)
	result := w.audit(t)
	for name, want := range map[string]string{
		accounted: "silver.cleaned_trips was made from version " + current + ", but the month's current version is seed-42-events-10.01234567",
		confirmed: `silver/cleaned_trips reported source "tlc_file", but that of the month's current version is "synthetic"`,
	} {
		if check := find(t, result, name); check.Passed || !strings.Contains(check.Finding, want) {
			t.Errorf("%s: expected a finding with %q, got %s", name, want, check.Finding)
		}
	}
	if result.Version.Source != "synthetic" || result.Counts.RowsSuperseded != 43 {
		t.Errorf("got %+v", result)
	}
}

func TestAMonthWithoutACurrentVersionDoesNotPass(t *testing.T) {
	w := healthy()
	w.versions.records = slices.DeleteFunc(w.versions.records, func(record topic.Record) bool { return string(record.Key) == month })
	check := find(t, w.audit(t), accounted)
	if check.Passed || !strings.Contains(check.Finding, "no record of the month") {
		t.Errorf("got %s", check.Finding)
	}
	w.name(month, "no JSON")
	parsed, _ := trips.ParseMonth(month)
	if _, err := readVersion(context.Background(), Job{Month: parsed, Versions: &w.versions}); err == nil {
		t.Error("a record that is no JSON was read")
	}
}

func TestAnEventOfNoKnownMonthIsAnUndecodableRecord(t *testing.T) {
	w := healthy()
	strange := event(50)
	strange["trip_month"] = text("2031-05")
	value := binary.BigEndian.AppendUint64(nil, uint64(len(w.topic.events)))
	w.topic.events = append(w.topic.events, strange)
	w.sendRaw(3, nil, value)
	if got := w.passes(t).Counts; got.RecordsUndecodable != 3 || got.RowsUndecodable != 3 {
		t.Errorf("got %+v", got)
	}
	w.bronze = w.bronze[:len(w.bronze)-1]
	w.send(4, event(51))
	if check := find(t, w.audit(t), once); check.Passed {
		t.Error("the record has no row without a month, and the check passed")
	}
}

func TestRoundedAmountsAndTripsWithoutVendorAreCounted(t *testing.T) {
	w := healthy()
	odd := event(50)
	odd["cbd_congestion_fee"] = fraction(0.755)
	delete(odd, "VendorID")
	w.send(3, odd)
	w.keep(w.bronze[len(w.bronze)-1])
	w.receipts.Silver.Read, w.receipts.Silver.Written = 43, 40
	w.receipts.Silver.Rounded, w.receipts.Silver.WithoutVendor = 1, 1
	if got := w.passes(t).Counts; got.RowsRounded != 1 || got.RowsWithoutVendor != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestWhatRetentionTookIsNotMissing(t *testing.T) {
	w := healthy()
	w.topic.bounds[0].Start = 12
	result := w.passes(t)
	if got := find(t, result, once).Numbers; got["rows_beyond_retention"] != int64(12) || got["records_audited"] != int64(30) {
		t.Errorf("got %v", got)
	}
	if confirmed, present := find(t, result, confirmed).Numbers["events_confirmed"]; !present || confirmed != nil {
		t.Errorf("the sent events can no longer be counted, but %v were", confirmed)
	}
}

func TestRowsOfADeletedTopicAreNotComparedWithTheNewOne(t *testing.T) {
	w := healthy()
	for _, row := range w.bronze {
		row["kafka_topic_id"] = text("earlier")
	}
	w.name(month, `{"source": "tlc_file", "source_version": "`+current+`", "source_name": "yellow_tripdata_2024-01.csv",
		"events": 42, "topic_id": "earlier", "offsets": {"0": [0, 44]}}`)
	w.topic.records, w.topic.bounds[0].End = nil, 0
	w.passes(t)
	// Bronze has not reached the new topic, whose offsets are like those reported for the earlier one.
	w.send(3, event(50))
	w.bronze = w.bronze[:len(w.bronze)-1]
	w.topic.bounds[0].End = 60
	result := w.passes(t)
	if got := find(t, result, once).Numbers["records_pending"]; got != int64(1) {
		t.Errorf("%v records are pending", got)
	}
	if got := find(t, result, confirmed).Numbers["events_confirmed"]; got != nil {
		t.Errorf("%v events were confirmed by another topic", got)
	}
}

func TestAMonthThatAnotherMonthsBronzeStepIngestedNeedsNoReportOfBronze(t *testing.T) {
	w := healthy()
	w.receipts.Bronze = nil
	if reported, present := find(t, w.passes(t), confirmed).Numbers["bronze_rows_reported"]; !present || reported != nil {
		t.Errorf("there is no report of bronze, but %v rows were reported", reported)
	}
}

func TestWhatOtherMonthsPublishedSinceChangesNoReport(t *testing.T) {
	w := healthy()
	w.hourly.commit("3", "2024-02", 50)
	w.dates.commit("8", "", 60)
	numbers := find(t, w.passes(t), confirmed).Numbers
	if numbers["published_rows_reported"] != int64(51) || numbers["published_rows_confirmed"] != int64(51) {
		t.Errorf("got %v", numbers)
	}
}

func TestAReportOfSeveralMonthsIsTheirSum(t *testing.T) {
	w := healthy()
	report := w.receipts.Published["marts/hourly"]
	report.Rows, report.Months = 29, []string{"2023-12", month}
	w.passes(t)
	w.hourly.commit("3", "2023-12", 8)
	w.passes(t)
	w.hourly.commit("4", month, 21)
	if check := find(t, w.audit(t), confirmed); check.Passed {
		t.Error("the month changed after it was published, and the check passed")
	}
}

func TestASnapshotThatHasExpiredConfirmsNothing(t *testing.T) {
	w := healthy()
	w.dates.snapshots, w.dates.oldest = []string{"9"}, 41
	numbers := find(t, w.passes(t), confirmed).Numbers
	if numbers["published_tables_expired"] != int64(1) || numbers["published_rows_confirmed"] != int64(20) {
		t.Errorf("got %v", numbers)
	}
}

func TestARowWhoseSchemaTheRegistryHasLearntSinceIsItsRecords(t *testing.T) {
	w := healthy()
	late, other := event(50), event(51)
	other["trip_month"] = text("2024-02")
	w.send(3, late, other)
	for place := range 2 {
		at := len(w.bronze) - 2 + place
		w.bronze[at] = values{
			"kafka_topic_id": text("topic"), "kafka_partition": whole(0), "kafka_offset": w.bronze[at]["kafka_offset"],
			"undecodable_reason": text("Schema 7 is unknown to the schema registry"),
			"undecodable_value":  rows.Value{Set: true, Text: w.topic.records[45+place].Value},
		}
	}
	check := find(t, w.passes(t), once)
	if check.Numbers["rows_decodable_since"] != int64(2) || check.Numbers["records_audited"] != int64(43) {
		t.Errorf("got %v", check.Numbers)
	}
	w.topic.events[43] = event(52)
	w.bronze[len(w.bronze)-2]["undecodable_value"] = rows.Value{Set: true, Text: w.topic.records[0].Value}
	if check := find(t, w.audit(t), once); !strings.Contains(check.Finding, "have other values than their record") {
		t.Errorf("its bytes are another record's: %s", check.Finding)
	}
	w.bronze[len(w.bronze)-2]["undecodable_reason"] = text("nonsense")
	if check := find(t, w.audit(t), once); check.Numbers["rows_unexpected"] != int64(1) {
		t.Errorf("the registry was not the reason: %s", check.Finding)
	}
}

func TestAMonthSentAgainConfirmsTheReportsOfBefore(t *testing.T) {
	w := healthy()
	w.send(3, event(0), event(1))
	w.passes(t)
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
