package audit

import (
	"fmt"
	"strconv"

	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

// Receipts are the numbers that the month's steps last reported; nil for a step without a report.
type Receipts struct {
	Generated *struct {
		RecordedAt    float64             `json:"recorded_at_s"`
		Events        int64               `json:"events_in_version"`
		Offsets       map[string][2]int64 `json:"offsets"` // the first and the last, by partition
		Source        string              `json:"source"`
		SourceVersion string              `json:"source_version"`
	} `json:"generate_events"`
	Bronze *struct {
		RecordedAt float64 `json:"recorded_at_s"`
		Duration   float64 `json:"duration_s"`
		Rows       int64   `json:"dagster/row_count"`
	} `json:"bronze/raw_trips"`
	Silver *struct {
		RecordedAt    float64 `json:"recorded_at_s"`
		Read          int64   `json:"rows_read"`
		Written       int64   `json:"rows_written"`
		Rejected      int64   `json:"rows_rejected"`
		Duplicates    int64   `json:"duplicates"`
		Superseded    int64   `json:"rows_superseded"`
		Rounded       int64   `json:"rows_rounded"`
		WithoutVendor int64   `json:"rows_without_vendor"`
		Source        string  `json:"source"`
		SourceVersion string  `json:"source_version"`
		SourceName    string  `json:"source_name"`
	} `json:"silver/cleaned_trips"`
	Published map[string]*Publication `json:"published"` // by asset, such as "marts/fct_trips"
}

// sentEnd returns the offset up to which bronze must hold a partition, if the month was sent before bronze last ingested.
func (r Receipts) sentEnd(records *topicRecords, bounds topic.Partition) int64 {
	if r.Generated == nil || r.Bronze == nil || r.Generated.RecordedAt > r.Bronze.RecordedAt-r.Bronze.Duration {
		return bounds.Start
	}
	if _, countable := r.findSent(records); !countable && records.earlierTopics > 0 {
		return bounds.Start
	}
	span, sent := r.Generated.Offsets[strconv.Itoa(int(bounds.Number))]
	if !sent {
		return bounds.Start
	}
	return min(span[1]+1, bounds.End)
}

// check compares the reports with the auditor's counts. Bronze may have grown since: sending a month again adds rows
// there, but changes neither silver nor the rejected rows.
func (r Receipts) check(
	counted Counts, records *topicRecords, version *Version, published publications, month trips.Month,
) Check {
	check := newCheck("receipts_are_confirmed", month)
	if r.Generated == nil {
		check.disagree("generate_events has no report")
	} else {
		r.checkSent(check, records, version)
	}
	records.checkVersion(check, version)
	if r.Bronze == nil { // another month's step may have ingested this month
		check.number("bronze_rows_reported", nil)
	} else {
		check.number("bronze_rows_reported", r.Bronze.Rows)
		atMost(check, "bronze/raw_trips", "dagster/row_count", r.Bronze.Rows, counted.RowsInBronze)
	}
	if r.Silver == nil {
		check.disagree("silver/cleaned_trips has no report")
	} else {
		r.checkSilver(check, counted, version)
	}
	published.addTo(check)
	check.todo("Materialize the assets named here again, and see their checks; if the difference remains, a step counts wrongly.")
	return check.done("The numbers that generate_events, bronze/raw_trips, silver/cleaned_trips and publish_marts reported are right.")
}

func (r Receipts) checkSilver(check *Check, counted Counts, version *Version) {
	const asset = "silver/cleaned_trips"
	check.number("silver_rows_reported", r.Silver.Written)
	check.number("rejected_rows_reported", r.Silver.Rejected)
	check.number("duplicates_reported", r.Silver.Duplicates)
	check.number("superseded_rows_reported", r.Silver.Superseded)
	agree(check, asset, "source_version", r.Silver.SourceVersion, version.SourceVersion)
	agree(check, asset, "source", r.Silver.Source, version.Source)
	agree(check, asset, "source_name", r.Silver.SourceName, version.SourceName)
	equal(check, asset, "rows_written", r.Silver.Written, counted.RowsInSilver)
	equal(check, asset, "rows_rejected", r.Silver.Rejected, counted.RowsRejected)
	equal(check, asset, "rows_rounded", r.Silver.Rounded, counted.RowsRounded)
	equal(check, asset, "rows_without_vendor", r.Silver.WithoutVendor, counted.RowsWithoutVendor)
	atMost(check, asset, "rows_read", r.Silver.Read, counted.RowsInBronze)
	atMost(check, asset, "duplicates", r.Silver.Duplicates, counted.Duplicates)
	atMost(check, asset, "rows_superseded", r.Silver.Superseded, counted.RowsSuperseded)
	later := counted.RowsInBronze - r.Silver.Read
	equal(check, asset, "duplicates + rows_superseded", r.Silver.Duplicates+r.Silver.Superseded,
		counted.Duplicates+counted.RowsSuperseded-later)
}

func (r Receipts) checkSent(check *Check, records *topicRecords, version *Version) {
	check.number("events_reported", r.Generated.Events)
	agree(check, "generate_events", "source_version", r.Generated.SourceVersion, version.SourceVersion)
	agree(check, "generate_events", "source", r.Generated.Source, version.Source)
	found, countable := r.findSent(records)
	if !countable {
		check.number("events_confirmed", nil)
		return
	}
	check.number("events_confirmed", found)
	equal(check, "generate_events", "events_in_version", r.Generated.Events, found)
}

// findSent counts the reported version's records between the reported offsets; false if they can no longer be counted:
// retention has deleted some, or the offsets, which do not name a topic, may be those of a topic that was deleted.
func (r Receipts) findSent(records *topicRecords) (int64, bool) {
	if !records.reported.isWhole(records.bounds()) {
		return 0, false
	}
	found := records.reported.found
	return found, found == r.Generated.Events || records.earlierTopics == 0
}

func agree(check *Check, asset, name, reported, current string) {
	if reported != current {
		check.disagree(fmt.Sprintf("%s reported %s %q, but that of the month's current version is %q", asset, name, reported, current))
	}
}

func equal(check *Check, asset, name string, reported, counted int64) {
	if reported != counted {
		check.disagree(fmt.Sprintf("%s reported %s %d, but there are %d", asset, name, reported, counted))
	}
}

func atMost(check *Check, asset, name string, reported, counted int64) {
	if reported > counted {
		check.disagree(fmt.Sprintf("%s reported %s %d, but there are only %d", asset, name, reported, counted))
	}
}
