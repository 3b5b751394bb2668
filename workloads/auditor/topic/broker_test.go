package topic

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch is a record batch of a fake partition: records, or the marker at the end of a transaction.
type batch struct {
	first    int64
	values   [][]byte
	producer int64 // the producer of a transaction; 0 for none
	abort    bool  // whether this marks an abort
}

func (b batch) last() int64 { return b.first + int64(max(1, len(b.values))) - 1 }

// broker implements the part of Kafka's protocol that the auditor uses; it has one topic with one partition.
type broker struct {
	t           *testing.T
	host        string
	port        int32
	topicID     [16]byte
	start       int64 // where the log begins
	stableEnd   int64
	batches     []batch
	aborted     []kmsg.FetchResponseTopicPartitionAbortedTransaction
	startAtRead int64 // where the log begins once reading has begun
}

func (b *broker) serve() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { listener.Close() })
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	number, _ := strconv.Atoi(port)
	b.host, b.port = host, int32(number)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go b.talk(connection)
		}
	}()
	return listener.Addr().String()
}

// talk answers one connection's requests.
//
// Source: Kafka's protocol guide, "Protocol Primitive Types" and the request headers of version 1 and 2.
func (b *broker) talk(connection net.Conn) {
	defer connection.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(connection, size[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(connection, body); err != nil {
			return
		}
		key, version := int16(binary.BigEndian.Uint16(body)), int16(binary.BigEndian.Uint16(body[2:]))
		request := kmsg.RequestForKey(key)
		request.SetVersion(version)
		rest := body[10+binary.BigEndian.Uint16(body[8:]):]
		if request.IsFlexible() {
			rest = rest[1:]
		}
		if err := request.ReadFrom(rest); err != nil {
			b.t.Error(err)
			return
		}
		response := b.answer(request)
		response.SetVersion(version)
		answer := append(make([]byte, 4), body[4:8]...)
		if _, isVersions := response.(*kmsg.ApiVersionsResponse); response.IsFlexible() && !isVersions {
			answer = append(answer, 0)
		}
		answer = response.AppendTo(answer)
		binary.BigEndian.PutUint32(answer, uint32(len(answer)-4))
		if _, err := connection.Write(answer); err != nil {
			return
		}
	}
}

func (b *broker) answer(request kmsg.Request) kmsg.Response {
	switch request := request.(type) {
	case *kmsg.ApiVersionsRequest:
		response := request.ResponseKind().(*kmsg.ApiVersionsResponse)
		for key, most := range map[int16]int16{1: 13, 2: 6, 3: 12, 18: 3} {
			response.ApiKeys = append(response.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: most})
		}
		return response
	case *kmsg.MetadataRequest:
		return b.describe(request)
	case *kmsg.ListOffsetsRequest:
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		offset := map[int64]int64{earliest: b.start, latest: b.stableEnd}[request.Topics[0].Partitions[0].Timestamp]
		response.Topics = []kmsg.ListOffsetsResponseTopic{{
			Topic: request.Topics[0].Topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{{Offset: offset}},
		}}
		return response
	case *kmsg.FetchRequest:
		return b.fetch(request)
	}
	b.t.Errorf("the auditor sent an unexpected %T", request)
	return request.ResponseKind()
}

func (b *broker) describe(request *kmsg.MetadataRequest) kmsg.Response {
	response := request.ResponseKind().(*kmsg.MetadataResponse)
	response.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 7, Host: b.host, Port: b.port}}
	for _, wanted := range request.Topics {
		topic := kmsg.MetadataResponseTopic{Topic: wanted.Topic, TopicID: b.topicID}
		if *wanted.Topic == "trips" {
			topic.Partitions = []kmsg.MetadataResponseTopicPartition{{Leader: 7}}
		} else {
			topic.ErrorCode = 3 // unknown topic or partition
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

// fetch returns one batch at a time, starting with the batch that contains the offset, as a broker does.
func (b *broker) fetch(request *kmsg.FetchRequest) kmsg.Response {
	response := request.ResponseKind().(*kmsg.FetchResponse)
	wanted := request.Topics[0].Partitions[0]
	if request.IsolationLevel != readCommitted || request.Topics[0].TopicID != b.topicID {
		b.t.Errorf("expected a read_committed fetch of the topic, got %+v", request)
	}
	b.start = max(b.start, b.startAtRead)
	partition := kmsg.FetchResponseTopicPartition{
		LogStartOffset: b.start, HighWatermark: b.stableEnd + 5, LastStableOffset: b.stableEnd, AbortedTransactions: b.aborted,
	}
	if wanted.FetchOffset < b.start {
		partition.ErrorCode = 1 // offset out of range
	} else {
		for _, batch := range b.batches {
			if batch.last() >= wanted.FetchOffset {
				partition.RecordBatches = batch.encode()
				break
			}
		}
	}
	response.Topics = []kmsg.FetchResponseTopic{{TopicID: b.topicID, Partitions: []kmsg.FetchResponseTopicPartition{partition}}}
	return response
}

// encode encodes a batch in Kafka's storage format.
//
// Source: Kafka's documentation, "Record Batch" and "Control Batches".
func (b batch) encode() []byte {
	values, attributes := b.values, int16(0)
	var key []byte
	if b.producer != 0 {
		attributes = 0x10 // of a transaction
	}
	if b.values == nil {
		attributes |= 0x20                                             // no records, but a marker
		key, values = []byte{0, 0, 0, 0}, [][]byte{{0, 0, 0, 0, 0, 0}} // type 0: abort
		if !b.abort {
			key[3] = 1
		}
	}
	encoded := kmsg.RecordBatch{
		FirstOffset: b.first, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(len(values) - 1),
		ProducerID: b.producer, NumRecords: int32(len(values)),
	}
	for number, value := range values {
		record := kmsg.Record{OffsetDelta: int32(number), Key: key, Value: value}
		content := record.AppendTo(nil)[1:] // behind its length, here 0
		encoded.Records = append(binary.AppendVarint(encoded.Records, int64(len(content))), content...)
	}
	encoded.Length = int32(len(encoded.AppendTo(nil)) - 12)
	raw := encoded.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
