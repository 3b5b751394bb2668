// Package topic reads a Kafka topic's committed records, and decodes them with the schemas that they were written with.
package topic

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	readCommitted   = 1
	earliest        = -2
	latest          = -1 // the last stable offset, for a read_committed reader
	fetchBytes      = 8 << 20
	fetchWaitMS     = 500
	requestTimeout  = 30 * time.Second
	progressTimeout = 60 * time.Second
)

// Topic is one topic at one broker.
type Topic struct {
	name       string
	id         [16]byte
	partitions []Partition
	client     *kgo.Client
	address    string
}

// Partition is the part of a partition that a read_committed reader sees: the records from Start up to, but not
// including, End.
type Partition struct {
	Number     int32
	Start, End int64
	leader     int32
}

// Record is a committed record.
type Record struct {
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte // nil for a record without a value
}

// Open finds a topic and its bounds; bootstrapServers are addresses separated by commas.
func Open(ctx context.Context, bootstrapServers, name string) (*Topic, error) {
	brokers := strings.Split(strings.ReplaceAll(bootstrapServers, " ", ""), ",")
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ClientID("auditor"),
		kgo.RetryTimeout(requestTimeout), kgo.DisableClientMetrics())
	if err != nil {
		return nil, fmt.Errorf("KAFKA_BOOTSTRAP_SERVERS %q cannot be used: %w", bootstrapServers, err)
	}
	topic := &Topic{name: name, client: client, address: bootstrapServers}
	if err := topic.describe(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("topic %s at %s: %w", name, bootstrapServers, err)
	}
	return topic, nil
}

// Close closes the connections.
func (t *Topic) Close() { t.client.Close() }

// ID returns the topic's id in the form of Kafka's own tools; a topic that is created again has a new id.
func (t *Topic) ID() string { return base64.RawURLEncoding.EncodeToString(t.id[:]) }

// Bounds returns the bounds of the partitions, by their numbers from 0 on.
func (t *Topic) Bounds() []Partition { return t.partitions }

func (t *Topic) describe(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = kmsg.StringPtr(t.name)
	request.Topics = append(request.Topics, wanted)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := request.RequestWith(ctx, t.client)
	if err != nil {
		return fmt.Errorf("the broker does not answer (is kafka healthy?): %w", err)
	}
	found := answer.Topics[0]
	if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
		return fmt.Errorf("it cannot be read (materialize kafka_topics and generate_events first?): %w", err)
	}
	t.id = found.TopicID
	leaders := map[int32]int32{}
	for _, partition := range found.Partitions {
		leaders[partition.Partition] = partition.Leader
	}
	starts, err := t.offsets(ctx, leaders, earliest)
	if err != nil {
		return err
	}
	ends, err := t.offsets(ctx, leaders, latest)
	if err != nil {
		return err
	}
	for number := range int32(len(leaders)) {
		leader, ok := leaders[number]
		if !ok {
			return fmt.Errorf("the broker does not list partition %d of %d", number, len(leaders))
		}
		t.partitions = append(t.partitions, Partition{number, starts[number], ends[number], leader})
	}
	return nil
}

func (t *Topic) offsets(ctx context.Context, leaders map[int32]int32, timestamp int64) (map[int32]int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.IsolationLevel = readCommitted
	wanted := kmsg.NewListOffsetsRequestTopic()
	wanted.Topic = t.name
	for number := range leaders {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = number, timestamp
		wanted.Partitions = append(wanted.Partitions, partition)
	}
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(ctx, t.client)
	if err != nil {
		return nil, fmt.Errorf("its offsets could not be requested: %w", err)
	}
	found := map[int32]int64{}
	for _, topic := range answer.Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return nil, fmt.Errorf("the offsets of partition %d could not be requested: %w", partition.Partition, err)
			}
			found[partition.Partition] = partition.Offset
		}
	}
	if len(found) != len(leaders) {
		return nil, fmt.Errorf("the broker returned the offsets of %d of %d partitions", len(found), len(leaders))
	}
	return found, nil
}

// Read reads every committed record, in order within a partition. Records that retention deletes in the meantime are not
// read; Start then moves past them.
func (t *Topic) Read(ctx context.Context, see func(Record) error) error {
	for place := range t.partitions {
		if err := t.readPartition(ctx, &t.partitions[place], see); err != nil {
			return fmt.Errorf("topic %s at %s, partition %d: %w", t.name, t.address, t.partitions[place].Number, err)
		}
	}
	return nil
}

func (t *Topic) readPartition(ctx context.Context, partition *Partition, see func(Record) error) error {
	progressed := time.Now()
	for offset := partition.Start; offset < partition.End; {
		fetched, next, err := t.fetch(ctx, *partition, offset)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			starts, startErr := t.offsets(ctx, map[int32]int32{partition.Number: partition.leader}, earliest)
			if startErr != nil {
				return startErr
			}
			if starts[partition.Number] <= offset {
				return fmt.Errorf("the broker does not have offset %d, although the log begins at %d", offset, starts[partition.Number])
			}
			partition.Start, offset = starts[partition.Number], starts[partition.Number]
			continue
		}
		if err != nil {
			return fmt.Errorf("offset %d could not be read: %w", offset, err)
		}
		for _, record := range fetched.Records {
			if record.Offset < partition.End {
				if err := see(Record{partition.Number, record.Offset, record.Key, record.Value}); err != nil {
					return err
				}
			}
		}
		partition.Start = max(partition.Start, fetched.LogStartOffset)
		if next > offset {
			offset, progressed = next, time.Now()
		} else if time.Since(progressed) > progressTimeout {
			return fmt.Errorf("nothing arrived from offset %d on for %s, although the end is %d", offset, progressTimeout, partition.End)
		}
	}
	return nil
}

// fetch requests records from an offset on from the leader, and returns the offset to continue at; it skips the ends of
// transactions and aborted records.
func (t *Topic) fetch(ctx context.Context, partition Partition, offset int64) (kgo.FetchPartition, int64, error) {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.IsolationLevel = fetchWaitMS, 1, fetchBytes, readCommitted
	wanted := kmsg.NewFetchRequestTopic()
	wanted.Topic, wanted.TopicID = t.name, t.id
	place := kmsg.NewFetchRequestTopicPartition()
	place.Partition, place.FetchOffset, place.PartitionMaxBytes = partition.Number, offset, fetchBytes
	wanted.Partitions = append(wanted.Partitions, place)
	request.Topics = append(request.Topics, wanted)
	answered, err := t.client.Broker(int(partition.leader)).RetriableRequest(ctx, request)
	if err != nil {
		return kgo.FetchPartition{}, offset, err
	}
	answer, ok := answered.(*kmsg.FetchResponse)
	if !ok {
		return kgo.FetchPartition{}, offset, fmt.Errorf("the broker answered with a %T", answered)
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return kgo.FetchPartition{}, offset, err
	}
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return kgo.FetchPartition{}, offset, errors.New("the broker answered for other partitions than the requested one")
	}
	options := kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: kgo.ReadCommitted(), Topic: t.name, Partition: partition.Number,
	}
	fetched, next := kgo.ProcessFetchPartition(options, &answer.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fetched, next, fetched.Err
}
