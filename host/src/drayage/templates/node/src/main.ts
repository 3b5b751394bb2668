// Counts rows and reports how many: replace this with your own work.

import { run, type Session } from "./pipes.js";

/** Reports the results. They must include every name that the host's entry promises. */
function report(session: Session): void {
  // The context has the entry's `extras`, the partition, the run and the asset's key.
  const rows = session.context.extras["rows"];
  if (typeof rows !== "number") {
    throw new TypeError(`the extra \`rows\` must be a number, got ${rows}`);
  }
  // The key is null for an asset without partitions, or a range of partitions.
  session.log("INFO", `${rows} rows, partition ${session.context.partition_key ?? "none"}`);
  session.materialize({ rows });
}

// Opens Pipes, does the work, and closes Pipes, even after an error or SIGTERM.
await run(report);
