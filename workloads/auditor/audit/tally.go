package audit

import (
	"context"
	"fmt"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/trips"
)

// tally counts the fates of a month's rows.
type tally struct {
	superseded     int64
	repeatedEvents int64
	repeatedTrips  int64
	rounded        int64   // trips
	withoutVendor  int64   // trips
	rejected       reasons // according to the rules
	refused        reasons // according to silver.rejected_trips
	silver         comparison
	facts          comparison
	silverMoney    money
	factsMoney     money
}

// comparison is the result of comparing a table's rows with the expected ones.
type comparison struct {
	rows                                     int64
	missing, unexpected, repeated, differing examples
}

func newTally(superseded, repeatedEvents int64) *tally {
	return &tally{
		superseded:     superseded,
		repeatedEvents: repeatedEvents,
		rejected:       reasons{byReason: map[string]int64{}},
		refused:        reasons{byReason: map[string]int64{}},
		silverMoney:    money{},
		factsMoney:     money{},
	}
}

// reasons counts rejected events by reason; sum adds up the fingerprints of event and reason, so their order is irrelevant.
type reasons struct {
	byReason map[string]int64
	sum      uint64
	prints   rows.Fingerprint
}

func (r *reasons) add(eventID rows.Value, reason string) {
	r.byReason[reason]++
	r.sum += r.prints.Of(eventID, rows.Value{Set: true, Text: []byte(reason)})
}

func (r *reasons) count() int64 {
	var count int64
	for _, events := range r.byReason {
		count += events
	}
	return count
}

func (t *tally) readRejected(ctx context.Context, job Job) error {
	columns := []lake.Column{{Name: "event_id", Type: "string"}, {Name: "rejection_reason", Type: "string"}}
	return job.Tables.Rejected.Scan(ctx, monthOf(job), columns, func(row []rows.Value) error {
		t.refused.add(row[0], string(row[1].Text))
		return nil
	})
}

func (t *tally) checkAccounted(records *topicRecords, isRecorded bool, job Job) Check {
	rejected := t.rejected.count()
	bronze, undecodable := records.monthRows+records.undecodableRows, records.undecodableRows
	unaccounted := bronze - t.silver.rows - t.repeatedEvents - t.repeatedTrips - rejected - t.superseded - undecodable
	check := newCheck("every_bronze_row_is_accounted_for", job.Month)
	check.number("rows_in_bronze", bronze)
	check.number("rows_in_silver", t.silver.rows)
	check.number("repeated_events", t.repeatedEvents)
	check.number("repeated_trips", t.repeatedTrips)
	check.number("rows_rejected", rejected)
	check.number("rows_superseded", t.superseded)
	check.number("rows_undecodable", undecodable)
	check.number("rows_unaccounted", unaccounted)
	if !isRecorded {
		check.disagree("the topic of month versions has no record of the month, so no version of it is the current one")
	} else if silver := job.Receipts.Silver; silver != nil && silver.SourceVersion != records.current.version {
		check.disagree(fmt.Sprintf("silver.cleaned_trips was made from version %s, but the month's current version is %s",
			silver.SourceVersion, records.current.version))
	}
	if unaccounted > 0 {
		check.disagree(fmt.Sprintf("%d of %d rows of bronze.raw_trips are unaccounted for", unaccounted, bronze))
	} else if unaccounted < 0 {
		check.disagree(fmt.Sprintf("%d rows of bronze.raw_trips became %d", bronze, bronze-unaccounted))
	}
	check.fault("rows_without_fate", records.oddRows, "rows of bronze.raw_trips have neither month nor reason, or both")
	check.fault("trips_missing", t.silver.missing, "trips of bronze are not in silver.cleaned_trips")
	check.fault("trips_unexpected", t.silver.unexpected, "rows of silver.cleaned_trips match no valid trip of bronze")
	check.fault("trips_differing", t.silver.differing, "rows of silver.cleaned_trips have other values than bronze")
	for _, reason := range sortedKeys(merged(t.rejected.byReason, t.refused.byReason)) {
		if found, kept := t.rejected.byReason[reason], t.refused.byReason[reason]; found != kept {
			check.disagree(fmt.Sprintf("%d events should be rejected for %s, but silver.rejected_trips has %d", found, reason, kept))
		}
	}
	if len(check.faults) == 0 && t.rejected.sum != t.refused.sum {
		check.disagree("silver.rejected_trips has other events than those that break a rule")
	}
	check.todo("Materialize silver/cleaned_trips and the assets after it, or generate_events and all after it if the month has no " +
		"current version; if the difference remains, see sql/flink/silver_clean.sql.")
	return check.done(fmt.Sprintf("%d rows of bronze = %d in silver + %d repeated events + %d repeated trips + %d rejected + "+
		"%d superseded + %d undecodable.",
		bronze, t.silver.rows, t.repeatedEvents, t.repeatedTrips, rejected, t.superseded, undecodable))
}

func merged(one, other map[string]int64) map[string]bool {
	all := map[string]bool{}
	for _, counts := range []map[string]int64{one, other} {
		for reason := range counts {
			all[reason] = true
		}
	}
	return all
}

func (t *tally) checkUnique(month trips.Month) Check {
	check := newCheck("silver_trip_ids_are_unique", month)
	check.number("rows_in_silver", t.silver.rows)
	check.fault("rows_repeated", t.silver.repeated, "rows of silver.cleaned_trips repeat another row's trip_id")
	check.todo("Materialize silver/cleaned_trips, which replaces the whole month, and the assets after it.")
	return check.done(fmt.Sprintf("Each of %d rows of silver.cleaned_trips has a unique trip_id.", t.silver.rows))
}

func (t *tally) checkFacts(month trips.Month) Check {
	check := newCheck("published_trips_are_silvers", month)
	check.number("rows_in_silver", t.silver.rows)
	check.number("rows_in_fct_trips", t.facts.rows)
	check.fault("trips_missing", t.facts.missing, "trips of silver are not in marts.fct_trips")
	check.fault("trips_unexpected", t.facts.unexpected, "rows of marts.fct_trips match no trip of silver")
	check.fault("trips_repeated", t.facts.repeated, "rows of marts.fct_trips repeat another row's trip_id")
	check.fault("trips_differing", t.facts.differing, "rows of marts.fct_trips have other values than silver")
	check.todo("Run the job build_marts for the month.")
	return check.done(fmt.Sprintf("marts.fct_trips has the %d trips of silver, with the same values.", t.silver.rows))
}
