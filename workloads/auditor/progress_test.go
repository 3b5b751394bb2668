package main

import (
	"context"
	"testing"
	"time"

	pipes "drayage/writers/go"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
)

type threeRows struct{}

func (threeRows) Scan(_ context.Context, _ lake.Months, _ []lake.Column, see func([]rows.Value) error) error {
	for range 3 {
		if err := see(nil); err != nil {
			return err
		}
	}
	return nil
}

func TestEveryRowThatIsReadIsCountedAndReported(t *testing.T) {
	var count counter
	seen := 0
	table := countedTable{threeRows{}, &count}
	for range 2 {
		if err := table.Scan(context.Background(), lake.Months{}, nil, func([]rows.Value) error { seen++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if seen != 6 || count.read.Load() != 6 {
		t.Fatalf("6 rows were read, %d seen and %d counted", seen, count.read.Load())
	}
	reported := make(chan pipes.Metadata, 100)
	stop := count.report(10*time.Millisecond, func(metadata pipes.Metadata) error {
		reported <- metadata
		return nil
	})
	first, second := <-reported, <-reported
	stop()
	if first["rows_per_second"] != 600.0 || second["rows_per_second"] != 0.0 {
		t.Errorf("expected 600 and then 0 rows a second, got %v and %v", first, second)
	}
	sent := len(reported)
	time.Sleep(30 * time.Millisecond)
	if len(reported) != sent {
		t.Error("it continued after it was stopped")
	}
}
