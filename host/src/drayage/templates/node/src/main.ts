// Counts rows, and reports how many: put your own work in its place.

import { run, type Session } from "./pipes.js";

/** Reports what was made. Every name that the host's entry promises must be there. */
function report(session: Session): void {
  // What the entry's `extras` say arrives here, beside the partition, the run and the asset's key.
  const rows = session.context.extras["rows"];
  if (typeof rows !== "number") {
    throw new TypeError(`the extra \`rows\` must be a number, got ${rows}`);
  }
  // There is no key without partitions, or with a range of them.
  session.log("INFO", `${rows} rows, partition ${session.context.partition_key ?? "none"}`);
  session.materialize({ rows });
}

// Opens Pipes, does the work, and closes Pipes, also after an error or SIGTERM.
await run(report);
