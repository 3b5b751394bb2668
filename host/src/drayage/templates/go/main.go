// Counts rows, and reports how many: put your own work in its place.
package main

import (
	"fmt"

	"workload/pipes"
)

// Run opens Pipes, does the work, and closes Pipes, also after an error, a panic or SIGTERM.
func main() { pipes.Run(report) }

// report says what was made. Every name that the host's entry promises must be there.
func report(session *pipes.Session) error {
	// What the entry's `extras` say arrives here, beside the partition, the run and the asset's key.
	rows, isNumber := session.Context.Extras["rows"].(float64)
	if !isNumber {
		return fmt.Errorf("the extra `rows` must be a number, got %v", session.Context.Extras["rows"])
	}
	partition := "none" // without partitions, or with a range of them
	if key := session.Context.PartitionKey; key != nil {
		partition = *key
	}
	if err := session.Log("INFO", fmt.Sprintf("%d rows, partition %s", int(rows), partition)); err != nil {
		return err
	}
	return session.Materialize("", "", pipes.Metadata{"rows": int(rows)})
}
