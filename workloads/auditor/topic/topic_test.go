package topic

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func values(texts ...string) [][]byte {
	var all [][]byte
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

// busy is a partition with committed and aborted transactions, and one that is still open at the end.
func busy(t *testing.T) *broker {
	t.Helper()
	return &broker{
		t: t, topicID: [16]byte{1, 2, 3}, stableEnd: 12,
		batches: []batch{
			{first: 0, values: values("plain")},
			{first: 1, values: values("a", "b"), producer: 1},
			{first: 3, producer: 1}, // commit
			{first: 4, values: values("x", "y", "z"), producer: 2},
			{first: 7, values: values("c"), producer: 3},
			{first: 8, producer: 2, abort: true},
			{first: 9, producer: 3}, // commit
			{first: 10, values: values("gone", "gone"), producer: 4},
			{first: 12, values: values("open"), producer: 5},
			{first: 13, producer: 4, abort: true},
		},
		aborted: []kmsg.FetchResponseTopicPartitionAbortedTransaction{
			{ProducerID: 2, FirstOffset: 4}, {ProducerID: 4, FirstOffset: 10},
		},
	}
}

func read(t *testing.T, broker *broker) (*Topic, []string) {
	t.Helper()
	address := broker.serve()
	topic, err := Open(context.Background(), address+", "+address, "trips")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(topic.Close)
	var found []string
	if err := topic.Read(context.Background(), func(record Record) error {
		found = append(found, fmt.Sprint(record.Offset, " ", string(record.Value)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return topic, found
}

func TestCommittedRecordsAreReadToTheEndWhateverWasAborted(t *testing.T) {
	topic, found := read(t, busy(t))
	if want := []string{"0 plain", "1 a", "2 b", "7 c"}; !slices.Equal(found, want) {
		t.Errorf("expected %v, got %v", want, found)
	}
	if bounds := topic.Bounds(); len(bounds) != 1 || bounds[0].Start != 0 || bounds[0].End != 12 {
		t.Errorf("got the bounds %+v", bounds)
	}
	if topic.ID() != "AQIDAAAAAAAAAAAAAAAAAA" {
		t.Errorf("got the id %s", topic.ID())
	}
}

func TestRecordsThatRetentionDeletesWhileReadingAreNotReadAndMoveTheStart(t *testing.T) {
	broker := busy(t)
	broker.startAtRead = 7
	topic, found := read(t, broker)
	if want := []string{"7 c"}; !slices.Equal(found, want) || topic.Bounds()[0].Start != 7 {
		t.Errorf("expected %v from 7 on, got %v from %d on", want, found, topic.Bounds()[0].Start)
	}
}

func TestAMissingTopicIsNamed(t *testing.T) {
	_, err := Open(context.Background(), busy(t).serve(), "gone")
	if err == nil || !strings.Contains(err.Error(), "topic gone") || !strings.Contains(err.Error(), "materialize kafka_topics") {
		t.Errorf("expected an error that names the topic and what to do, got %v", err)
	}
}
