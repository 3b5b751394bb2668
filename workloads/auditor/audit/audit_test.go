package audit

import (
	"context"
	"slices"
	"testing"

	"drayage/workloads/auditor/trips"
)

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
