package audit

import (
	"context"
	"fmt"
	"math"
	"strings"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

// kind is the kind of an audited record; records of other months are not audited.
type kind int

const (
	ofMonth kind = iota
	undecodable
	kinds
)

// topicRecords are the topic's records, and the result of comparing them with bronze.
type topicRecords struct {
	topicID    string
	partitions []*partition
	read       int64

	current  sending // of the current version, as its record describes it
	reported sending // as generate_events last reported

	monthRows       int64 // rows of the month, of any topic
	undecodableRows int64
	oddRows         examples // rows that are neither a trip of a month nor undecodable, or both

	earlierTopics int64 // rows of the month from deleted topics of the same name
	expired       int64 // rows whose record retention has deleted
	pending       int64 // records that bronze has not reached yet

	decodableSince   int64    // rows whose schema the registry has learnt since they were ingested
	undecodableSince examples // rows whose record can no longer be decoded

	missing    [kinds]examples
	unexpected examples
	repeated   examples
	differing  examples
}

type partition struct {
	bounds  topic.Partition
	records [kinds]offsets
	end     int64 // bronze must have every record before this offset
}

func readTopic(ctx context.Context, job Job, version *Version) (*topicRecords, error) {
	read := &topicRecords{
		topicID: job.Topic.ID(),
		current: sending{version: version.SourceVersion, offsets: version.Offsets},
	}
	if job.Receipts.Generated != nil {
		read.reported = sending{version: job.Receipts.Generated.SourceVersion, offsets: job.Receipts.Generated.Offsets}
	}
	for range job.Topic.Bounds() {
		read.partitions = append(read.partitions, &partition{})
	}
	event := make([]rows.Value, trips.EventColumns)
	var prints rows.Fingerprint
	err := job.Topic.Read(ctx, func(record topic.Record) error {
		read.read++
		records := &read.partitions[record.Partition].records
		decoded, err := job.Decoder.Decode(ctx, record.Value, event)
		switch {
		case err != nil:
			return err
		case !decoded || !trips.IsOfKnownMonth(event):
			records[undecodable].add(record.Offset, prints.Of(rows.Value{Set: record.Value != nil, Text: record.Value}))
		case string(event[trips.TripMonth].Text) == job.Month.Text:
			records[ofMonth].add(record.Offset, prints.Of(event...))
			read.current.see(event, record.Partition, record.Offset)
			read.reported.see(event, record.Partition, record.Offset)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for place, bounds := range job.Topic.Bounds() {
		read.partitions[place].bounds = bounds
	}
	return read, nil
}

func (t *topicRecords) bounds() []topic.Partition {
	var all []topic.Partition
	for _, partition := range t.partitions {
		all = append(all, partition.bounds)
	}
	return all
}

func (t *topicRecords) count(which kind) int64 {
	var count int64
	for _, partition := range t.partitions {
		count += partition.records[which].count(partition.bounds.Start, math.MaxInt64)
	}
	return count
}

// compareWithBronze looks for each row's record, and then for records without a row.
//
// Bronze must have each record up to its own last row, and each record that was sent before bronze last ingested.
func (t *topicRecords) compareWithBronze(ctx context.Context, job Job) error {
	var prints rows.Fingerprint
	event := make([]rows.Value, trips.EventColumns)
	months := lake.Months{Column: MonthColumn, Month: job.Month.Text, None: true}
	err := job.Tables.Bronze.Scan(ctx, months, trips.Bronze(), func(row []rows.Value) error {
		hasMonth, hasReason := row[trips.TripMonth].Set, row[trips.UndecodableReason].Set
		if hasMonth {
			t.monthRows++
		} else {
			t.undecodableRows++
		}
		if hasMonth == hasReason {
			t.oddRows.add(place(row[trips.KafkaPartition].Int, row[trips.KafkaOffset].Int))
		}
		isEarlier := string(row[trips.KafkaTopicID].Text) != t.topicID
		switch {
		case isEarlier && hasMonth:
			t.earlierTopics++
		case isEarlier:
		case hasMonth:
			t.find(row, ofMonth, prints.Of(row[:trips.EventColumns]...))
		default:
			since, err := isDecodableSince(ctx, job.Decoder, row, event)
			switch {
			case err != nil:
				return err
			case !since:
				t.find(row, undecodable, prints.Of(row[trips.UndecodableValue]))
				return nil
			case string(event[trips.TripMonth].Text) == job.Month.Text: // other months have their own audits
				t.find(row, ofMonth, prints.Of(event...))
			}
			t.decodableSince++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, partition := range t.partitions {
		partition.end = max(partition.end, job.Receipts.sentEnd(t, partition.bounds))
		t.lookForMissing(partition)
	}
	return nil
}

// unknownSchema is the end of bronze's reason if only the registry lacked the schema; such a row stays in bronze.
//
// Source: docs/decisions/0008, and the format's WriterSchemas.java.
const unknownSchema = " is unknown to the schema registry"

// isDecodableSince decodes an undecodable row's bytes again, into event, if the registry may have learnt their schema.
func isDecodableSince(ctx context.Context, decoder Decoder, row, event []rows.Value) (bool, error) {
	if !strings.HasSuffix(string(row[trips.UndecodableReason].Text), unknownSchema) {
		return false, nil
	}
	decoded, err := decoder.Decode(ctx, row[trips.UndecodableValue].Text, event)
	return decoded && trips.IsOfKnownMonth(event), err
}

func (t *topicRecords) find(row []rows.Value, which kind, print uint64) {
	number, offset := row[trips.KafkaPartition].Int, row[trips.KafkaOffset].Int
	if number < 0 || number >= int64(len(t.partitions)) {
		t.unexpected.add(place(number, offset))
		return
	}
	partition := t.partitions[number]
	if offset < partition.bounds.Start {
		t.expired++
		return
	}
	records := &partition.records[which]
	at, known := records.place(offset)
	if !known && which == ofMonth {
		records = &partition.records[undecodable]
		if at, known = records.place(offset); known {
			t.undecodableSince.add(place(number, offset))
			print = uint64(records.prints[at]) // the fingerprint of the bytes, which the row does not have
		}
	}
	switch {
	case !known:
		t.unexpected.add(place(number, offset))
		return
	case records.found.Has(at):
		t.repeated.add(place(number, offset))
	case records.prints[at] != uint32(print):
		t.differing.add(place(number, offset))
	}
	records.found.Set(at)
	partition.end = max(partition.end, offset+1)
}

func place(partition, offset int64) string {
	return fmt.Sprintf("partition %d offset %d", partition, offset)
}

func (t *topicRecords) lookForMissing(partition *partition) {
	for which := range partition.records {
		records := &partition.records[which]
		records.each(partition.bounds.Start, math.MaxInt64, func(offset, at int64) {
			switch {
			case records.found.Has(at):
			case offset < partition.end:
				t.missing[which].add(place(int64(partition.bounds.Number), offset))
			default:
				t.pending++
			}
		})
	}
}

func (t *topicRecords) check(month trips.Month) Check {
	check := newCheck("every_record_is_in_bronze_once", month)
	check.number("records_audited", t.count(ofMonth))
	check.number("records_undecodable", t.count(undecodable))
	check.number("records_pending", t.pending)
	check.number("rows_of_earlier_topics", t.earlierTopics)
	check.number("rows_beyond_retention", t.expired)
	check.number("rows_decodable_since", t.decodableSince)
	const lostSchema = "has the schema registry lost their schema since?"
	check.fault("records_missing", t.missing[ofMonth], "committed records of the topic have no row in bronze.raw_trips")
	check.fault("undecodable_records_missing", t.missing[undecodable],
		"committed records that cannot be decoded have no row without a month in bronze.raw_trips: "+lostSchema)
	check.fault("rows_undecodable_since", t.undecodableSince,
		"rows of bronze.raw_trips are records that can no longer be decoded: "+lostSchema)
	check.fault("rows_unexpected", t.unexpected, "rows of bronze.raw_trips match no committed record of the topic")
	check.fault("rows_repeated", t.repeated, "rows of bronze.raw_trips repeat another row's record")
	check.fault("rows_differing", t.differing, "rows of bronze.raw_trips have other values than their record")
	check.todo("Restore the schemas that the schema registry has lost. Only if another program has changed bronze.raw_trips, " +
		"restore the table from the snapshot before that change, then materialize bronze/raw_trips and the assets after it. " +
		"Rows of bronze.quarantine are no reason to do so: they stay as they were ingested.")
	passed := fmt.Sprintf("Each of %d records has exactly one row in bronze.raw_trips", t.count(ofMonth)+t.count(undecodable)-t.pending)
	if t.pending > 0 {
		passed += fmt.Sprintf("; %d later records are pending", t.pending)
	}
	return check.done(passed + ".")
}
