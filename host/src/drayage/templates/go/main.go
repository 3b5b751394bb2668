// Counts rows and reports how many: replace this with your own work.
package main

import (
	"fmt"

	"workload/pipes"
)

// Run opens Pipes, does the work, and closes Pipes, even after an error, a panic or SIGTERM.
func main() { pipes.Run(report) }

// report reports the results. It must include every name that the host's entry promises.
func report(session *pipes.Session) error {
	// The context has the entry's `extras`, the partition, the run and the asset's key.
	rows, isNumber := session.Context.Extras["rows"].(float64)
	if !isNumber {
		return fmt.Errorf("the extra `rows` must be a number, got %v", session.Context.Extras["rows"])
	}
	partition := "none" // for an asset without partitions, or a range of partitions
	if key := session.Context.PartitionKey; key != nil {
		partition = *key
	}
	if err := session.Log("INFO", fmt.Sprintf("%d rows, partition %s", int(rows), partition)); err != nil {
		return err
	}
	return session.Materialize("", "", pipes.Metadata{"rows": int(rows)})
}
