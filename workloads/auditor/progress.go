package main

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	pipes "drayage/writers/go"

	"drayage/workloads/auditor/audit"
	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/topic"
)

// The UI keeps few points of a plot, and an audit of ten million trips takes minutes.
const progressInterval = 5 * time.Second

// counter counts every reading of a record or row, and reports the rate.
type counter struct{ read atomic.Int64 }

type countedTable struct {
	audit.Table
	counter *counter
}

type countedTopic struct {
	audit.Topic
	counter *counter
}

// Scan counts each row.
func (t countedTable) Scan(
	ctx context.Context, months lake.Months, columns []lake.Column, see func(row []rows.Value) error,
) error {
	return t.Table.Scan(ctx, months, columns, func(row []rows.Value) error {
		t.counter.read.Add(1)
		return see(row)
	})
}

// Read counts each record.
func (t countedTopic) Read(ctx context.Context, see func(topic.Record) error) error {
	return t.Topic.Read(ctx, func(record topic.Record) error {
		t.counter.read.Add(1)
		return see(record)
	})
}

// report sends the rate since the last report at every interval, until stop is called; stop waits until the last report
// was sent.
func (c *counter) report(interval time.Duration, send func(pipes.Metadata) error) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for reported := int64(0); ; {
			select {
			case <-stopped:
				return
			case <-ticker.C:
			}
			read := c.read.Load()
			// A failure to send is ignored here: the step's final report would fail too, and that error counts.
			_ = send(pipes.Metadata{"rows_per_second": rate(read-reported, interval.Seconds())})
			reported = read
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}

func rate(count int64, seconds float64) float64 {
	return math.Round(float64(count)/max(seconds, 0.001)*10) / 10
}
