package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

// Version is a month's record in the topic of month versions: which of the versions that were sent is the month.
type Version struct {
	Source        string              `json:"source"`
	SourceVersion string              `json:"source_version"`
	SourceName    string              `json:"source_name"`
	Events        int64               `json:"events"`
	TopicID       string              `json:"topic_id"`
	Offsets       map[string][2]int64 `json:"offsets"` // the first and the last, by partition
}

// readVersion reads the month's last record; nil if it has none. Records under other keys tell how far a version is that
// is still being sent.
func readVersion(ctx context.Context, job Job) (*Version, error) {
	var value []byte
	err := job.Versions.Read(ctx, func(record topic.Record) error {
		if string(record.Key) == job.Month.Text {
			value = slices.Clone(record.Value)
		}
		return nil
	})
	if err != nil || value == nil {
		return nil, err
	}
	var version Version
	if err := json.Unmarshal(value, &version); err != nil {
		return nil, fmt.Errorf("the record of %s in the topic of month versions is not the expected JSON: %w: materialize "+
			"generate_events, which writes it again", job.Month.Text, err)
	}
	return &version, nil
}

// sending is one sending of a version: its records in the topic between the first and the last offset of each partition.
type sending struct {
	version string
	offsets map[string][2]int64
	found   int64
}

// see counts a record of the month.
func (s *sending) see(event []rows.Value, partition int32, offset int64) {
	span, sent := s.offsets[strconv.Itoa(int(partition))]
	if sent && offset >= span[0] && offset <= span[1] && string(event[trips.SourceVersion].Text) == s.version {
		s.found++
	}
}

// isWhole tells whether the topic still has all offsets of the sending.
func (s *sending) isWhole(bounds []topic.Partition) bool {
	for _, held := range bounds {
		span, sent := s.offsets[strconv.Itoa(int(held.Number))]
		if sent && (span[0] < held.Start || span[1] >= held.End) {
			return false
		}
	}
	return true
}

// checkVersion compares the month's record with the topic.
func (t *topicRecords) checkVersion(check *Check, version *Version) {
	check.number("version_events_recorded", version.Events)
	// A topic that was deleted since has another id, and so has one that this topic's offsets do not belong to.
	if version.TopicID != t.topicID || !t.current.isWhole(t.bounds()) {
		check.number("version_events_confirmed", nil)
		return
	}
	check.number("version_events_confirmed", t.current.found)
	equal(check, "the topic of month versions", "events", version.Events, t.current.found)
}
