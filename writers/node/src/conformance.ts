// The conformance program: it runs each scenario of docs/workload-contract.md.

import { readFileSync } from "node:fs";
import { type Json, type Level, run, type Session, typed } from "./pipes.js";

const TEXT = 'quote " backslash \\ newline \n tab \t umlaut ü euro € smile 😀';

function context(session: Session): void {
  console.log(session.context.extras["text"]);
  session.custom({ context: session.context as unknown as Json });
  for (const asset of session.context.asset_keys ?? []) {
    session.materialize({}, { asset });
  }
}

function metadata(session: Session): void {
  const fare = {
    name: "fare",
    type: "decimal",
    description: "What was paid",
    tags: { unit: "usd" },
    constraints: { nullable: false, unique: false, other: ["> 0"] },
  };
  const days = {
    records: [
      { day: "2024-01-01", trips: 2 },
      { day: "2024-01-02", trips: null },
    ],
    schema: [
      { name: "day", type: "date" },
      { name: "trips", type: "int" },
    ],
  };
  const from = (column: string): Json => ({ asset_key: ["silver", "cleaned_trips"], column_name: column });
  session.materialize(
    {
      text: TEXT,
      url: typed("url", "https://example.org/a?b=c&d"),
      path: typed("path", "/data/a.parquet"),
      notebook: typed("notebook", "/data/a.ipynb"),
      md: typed("md", "**bold**"),
      json: typed("json", { a: [1, null, true] }),
      int: Number.MAX_SAFE_INTEGER,
      float: 0.1,
      whole: typed("float", 3.0),
      million: typed("float", 1e6),
      bool: true,
      null: null,
      timestamp: typed("timestamp", 1704067200.5),
      run: typed("dagster_run", session.context.run_id),
      asset: typed("asset", "silver/cleaned_trips"),
      inferred: [1, "a"],
      table: typed("table", days),
      schema: typed("table_schema", { columns: [fare, { name: "note", type: "text" }] }),
      lineage: typed("table_column_lineage", { deps_by_column: { fare: [from("fare_amount"), from("tip")] } }),
    },
    { dataVersion: "v1" },
  );
}

function checks(session: Session): void {
  session.check({ name: "whole", passed: true, metadata: { rows: 3 } });
  session.check({ name: "fresh", passed: false, severity: "WARN", metadata: { age_s: 1.5 } });
  session.materialize();
}

function logs(session: Session): void {
  console.log("to stdout");
  console.error("to stderr");
  const levels: Level[] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
  levels.forEach((level) => session.log(level, `${level} ${TEXT}`));
  session.materialize();
}

function custom(session: Session): void {
  const payloads: Json[] = [null, true, 7, 0.5, TEXT, [1, [2]], { kind: "own", a: { b: null } }];
  payloads.forEach((payload) => session.custom(payload));
  session.progress({ rows: 1 });
  session.materialize();
}

function partitions(session: Session): void {
  for (const asset of session.context.asset_keys ?? []) {
    (session.context.extras["partitions"] as string[]).forEach((key, number) =>
      session.partitionMetadata(key, { number }, asset),
    );
    session.progress({ rows: 1 }, asset);
    session.materialize({}, { asset });
  }
}

function streams(session: Session): void {
  session.externalStream("stdout", `stdout ${TEXT}`);
  session.externalStream("stderr", `stderr ${TEXT}`);
  session.materialize();
}

function large(session: Session): void {
  const { characters, padding } = session.context.extras;
  session.materialize({ large: "x".repeat(Number(characters)), padding: String(padding).length });
}

function many(session: Session): void {
  session.log("INFO", "begin");
  for (let number = 0; number < Number(session.context.extras["count"]); number++) {
    session.custom({ number });
  }
  session.log("INFO", "end");
  session.materialize();
}

function fail(): void {
  throw new Error("no trips", { cause: new Error("the file is empty") });
}

function sigterm(session: Session): Promise<void> {
  session.custom("ready");
  // A timer keeps the process alive until the signal.
  return new Promise((resolve) => setTimeout(resolve, 3_600_000));
}

function secret(session: Session): void {
  const token = readFileSync("/run/secrets/token", "utf8");
  console.log(token);
  session.materialize({ characters: token.length });
}

const SCENARIOS: { [name: string]: (session: Session) => void | Promise<void> } = {
  context,
  metadata,
  checks,
  logs,
  custom,
  partitions,
  streams,
  large,
  many,
  exception: fail,
  sigterm,
  secret,
};

await run((session) => {
  const scenario = String(session.context.extras["drayage/scenario"]);
  const program = SCENARIOS[scenario];
  if (program === undefined) {
    throw new Error(`unknown scenario ${scenario}`);
  }
  return program(session);
});
