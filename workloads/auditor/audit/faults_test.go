package audit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"drayage/workloads/auditor/rows"
)

// faults are possible faults, each with the checks that must find it.
var faults = map[string]struct {
	harm   func(w *world)
	seenBy map[string]string // the check, and a part of its finding
}{
	"a row of bronze is lost": {
		func(w *world) { w.bronze = slices.Delete(w.bronze, 10, 11) },
		map[string]string{
			once:      "1 committed records of the topic have no row in bronze.raw_trips (partition 0 offset 10)",
			accounted: "rows of silver.cleaned_trips match no valid trip of bronze",
			confirmed: "bronze/raw_trips reported dagster/row_count 42, but there are only 41",
		},
	},
	"the last rows of bronze are lost, and they were sent before": {
		func(w *world) { w.bronze = w.bronze[:len(w.bronze)-3] },
		map[string]string{
			once:      "2 committed records of the topic have no row",
			accounted: "trip_id", confirmed: "dagster/row_count 42, but there are only 40",
		},
	},
	"a row of bronze is there twice": {
		func(w *world) { w.bronze = append(w.bronze, w.bronze[10]) },
		map[string]string{once: "1 rows of bronze.raw_trips repeat another row's record (partition 0 offset 10)"},
	},
	"a row of bronze has no record": {
		func(w *world) {
			row := maps.Clone(w.bronze[10])
			row["kafka_offset"] = whole(40) // the end of a transaction
			w.bronze = append(w.bronze, row)
		},
		map[string]string{once: "1 rows of bronze.raw_trips match no committed record of the topic (partition 0 offset 40)"},
	},
	"a row of bronze has another value than its record": {
		func(w *world) { w.bronze[10]["store_and_fwd_flag"] = text("Y") },
		map[string]string{
			once:      "have other values than their record (partition 0 offset 10)",
			accounted: "rows of silver.cleaned_trips have other values than bronze",
		},
	},
	"an undecodable record is lost": {
		func(w *world) {
			w.bronze = slices.DeleteFunc(w.bronze, func(row values) bool { return row["kafka_offset"].Int == 41 })
		},
		map[string]string{once: "(partition 0 offset 41)"},
	},
	"a decodable record is stored as undecodable": {
		func(w *world) {
			w.bronze[10] = maps.Clone(w.bronze[10])
			delete(w.bronze[10], "trip_month")
			w.bronze[10]["undecodable_reason"] = text("nonsense")
		},
		map[string]string{once: "have no row", accounted: "match no valid trip of bronze", confirmed: "only 41"},
	},
	"a row of bronze has neither month nor reason": {
		func(w *world) { w.bronze = append(w.bronze, values{"kafka_topic_id": text("earlier")}) },
		map[string]string{accounted: "1 rows of bronze.raw_trips have neither month nor reason, or both"},
	},
	"a row of silver is lost": {
		func(w *world) { w.silver = w.silver[1:] },
		map[string]string{
			accounted: "1 trips of bronze are not in silver.cleaned_trips (trip_id ", published: "1 rows of marts.fct_trips match no trip of silver",
			same: "2024-01-01: silver.cleaned_trips and marts.fct_trips have trips", confirmed: "rows_written 39, but there are 38",
		},
	},
	"a row of silver is there twice": {
		func(w *world) { w.silver = append(w.silver, w.silver[5]) },
		map[string]string{
			accounted: "44 rows of bronze.raw_trips became 45", unique: "1 rows of silver.cleaned_trips repeat another row's trip_id",
			same: "days have different sums", confirmed: "rows_written 39, but there are 40",
		},
	},
	"a row of silver has another value than bronze": {
		func(w *world) { w.silver[5]["passenger_count"] = whole(9) },
		map[string]string{
			accounted: "1 rows of silver.cleaned_trips have other values than bronze",
			published: "1 rows of marts.fct_trips have other values than silver",
		},
	},
	"the earlier of two arrivals of a trip is kept": {
		func(w *world) { w.silver[3]["event_id"], w.facts[3]["event_id"] = text("e3"), text("e3") },
		map[string]string{accounted: "have other values than bronze"},
	},
	"a trip's id is written in capitals": {
		func(w *world) {
			for _, trips := range []fakeTable{w.silver, w.facts} {
				trips[5]["trip_id"] = text(strings.ToUpper(string(trips[5]["trip_id"].Text)))
			}
		},
		map[string]string{accounted: "match no valid trip of bronze"},
	},
	"a rejected row is lost": {
		func(w *world) { w.rejected = nil },
		map[string]string{accounted: "1 events should be rejected for distance_missing, but silver.rejected_trips has 0"},
	},
	"another event was rejected": {
		func(w *world) { w.rejected[0]["event_id"] = text("e38") },
		map[string]string{accounted: "silver.rejected_trips has other events"},
	},
	"a trip is not published": {
		func(w *world) { w.facts = w.facts[1:] },
		map[string]string{published: "1 trips of silver are not in marts.fct_trips", same: "days have different sums"},
	},
	"a trip is published twice": {
		func(w *world) { w.facts = append(w.facts, w.facts[5]) },
		map[string]string{published: "1 rows of marts.fct_trips repeat another row's trip_id", same: "days have different sums"},
	},
	"a cent is lost on the way to a day's revenue": {
		func(w *world) {
			w.dailyRevenue[4]["total_amount_usd"] = whole(w.dailyRevenue[4]["total_amount_usd"].Int - 1)
		},
		map[string]string{same: "1 days have different sums in the marts and in silver (2024-01-0"},
	},
	"a step reported other numbers": {
		func(w *world) { w.receipts.Silver.Duplicates, w.receipts.Silver.Rejected = 1, 2 },
		map[string]string{confirmed: "silver/cleaned_trips reported rows_rejected 2, but there are 1; silver/cleaned_trips reported duplicates + rows_superseded 1, but there are 2"},
	},
	"more was reported than was sent": {
		func(w *world) { w.receipts.Generated.Events = 43 },
		map[string]string{confirmed: "generate_events reported events_in_version 43, but there are 42"},
	},
	"less was reported than was sent": {
		func(w *world) { w.receipts.Generated.Events = 41 },
		map[string]string{confirmed: "generate_events reported events_in_version 41, but there are 42"},
	},
	"the registry has lost a schema": {
		func(w *world) { w.topic.records[10].Value = []byte("of a schema that is gone") },
		map[string]string{
			once:      "1 rows of bronze.raw_trips are records that can no longer be decoded: has the schema registry lost their schema since?",
			confirmed: "events_in_version 42, but there are 41",
		},
	},
	"the registry has lost the schema of another month's record": {
		func(w *world) {
			w.topic.records[44].Value = []byte("of a schema that is gone")
			w.receipts.Generated.Offsets["0"] = [2]int64{0, 45}
		},
		map[string]string{once: "has the schema registry lost their schema since? (partition 0 offset 45)"},
	},
	"more was reported than was published": {
		func(w *world) { w.receipts.Published["marts/hourly"].Rows = 21 },
		map[string]string{confirmed: "marts/hourly reported dagster/row_count 21, but its snapshot 2 has 20 rows of 2024-01"},
	},
	"less was reported than was published as a whole": {
		func(w *world) { w.receipts.Published["marts/dates"].Rows = 30 },
		map[string]string{confirmed: "marts/dates reported dagster/row_count 30, but its snapshot 7 has 31 rows"},
	},
	"a snapshot was reported that never existed": {
		func(w *world) { w.receipts.Published["marts/dates"].Snapshot = "6" },
		map[string]string{confirmed: "marts/dates reported snapshot_id 6, but the table has no such snapshot"},
	},
	"a published month was changed since": {
		func(w *world) { w.hourly.commit("3", month, 19) },
		map[string]string{confirmed: "marts/hourly had 20 rows of 2024-01 in the snapshot 2 that it reported, but has 19 now"},
	},
	"a published table has no report": {
		func(w *world) { w.receipts.Published["marts/dates"] = nil },
		map[string]string{confirmed: "marts/dates has no report"},
	},
	"nothing was published": {
		func(w *world) { w.receipts.Published = nil },
		map[string]string{confirmed: "publish_marts has no report"},
	},
	"a superseded trip is in silver": {
		func(w *world) {
			w.sendOthers()
			w.keep(w.bronze[len(w.bronze)-1])
			w.receipts.Silver.Read, w.receipts.Silver.Superseded, w.receipts.Silver.Written = 44, 2, 40
		},
		map[string]string{accounted: "1 rows of silver.cleaned_trips match no valid trip of bronze"},
	},
	"a map has another value than its record": {
		func(w *world) {
			w.bronze[10]["unknown_columns"] = rows.Texts(map[string]rows.Value{"colour": text("blue")})
		},
		map[string]string{once: "have other values than their record (partition 0 offset 10)"},
	},
	"a fee is lost in silver": {
		func(w *world) {
			w.topic.events[10]["cbd_congestion_fee"], w.bronze[10]["cbd_congestion_fee"] = fraction(0.75), fraction(0.75)
		},
		map[string]string{accounted: "1 rows of silver.cleaned_trips have other values than bronze"},
	},
	"a coordinate is lost in fct_trips": {
		func(w *world) { w.silver[5]["pickup_longitude"] = fraction(-73.9) },
		map[string]string{
			accounted: "1 rows of silver.cleaned_trips have other values than bronze",
			published: "1 rows of marts.fct_trips have other values than silver",
		},
	},
	"a version's record names more events than were sent": {
		func(w *world) {
			w.name(month, `{"source": "tlc_file", "source_version": "`+current+`", "source_name": "yellow_tripdata_2024-01.csv",
				"events": 43, "topic_id": "topic", "offsets": {"0": [0, 44]}}`)
		},
		map[string]string{confirmed: "the topic of month versions reported events 43, but there are 42"},
	},
	"another source was reported": {
		func(w *world) {
			w.receipts.Generated.Source, w.receipts.Silver.SourceName = "synthetic", "another file"
		},
		map[string]string{confirmed: `generate_events reported source "synthetic", but that of the month's current version is "tlc_file"; ` +
			`silver/cleaned_trips reported source_name "another file", but that of the month's current version is "yellow`},
	},
	"another version was reported": {
		func(w *world) { w.receipts.Generated.SourceVersion = "older" },
		map[string]string{confirmed: `generate_events reported source_version "older", but`},
	},
	"a step has no report": {
		func(w *world) { w.receipts.Silver = nil },
		map[string]string{confirmed: "silver/cleaned_trips has no report"},
	},
}

func TestEachFaultIsFoundByTheChecksThatItConcerns(t *testing.T) {
	for name, fault := range faults {
		w := healthy()
		fault.harm(w)
		for _, check := range w.audit(t).Checks {
			want, harmed := fault.seenBy[check.Name]
			switch {
			case check.Passed == harmed:
				t.Errorf("%s: %s passed: %v; %s", name, check.Name, check.Passed, check.Finding)
			case !strings.Contains(check.Finding, want):
				t.Errorf("%s: %s: expected a finding with %q, got %s", name, check.Name, want, check.Finding)
			}
		}
	}
}
