// Connects a Node program to the runner that started it, over Dagster Pipes 0.1.
//
// Most programs need only run(): it opens Pipes, calls the program, and closes Pipes with the result.

import { openSync, readFileSync, writeSync } from "node:fs";
import { inflateSync } from "node:zlib";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** From start to end: partition keys (the end is included) or ISO 8601 times (the end is not). */
export interface Range {
  start: string;
  end: string;
}

/** The sources of an asset's last materialization. */
export interface Provenance {
  code_version: string;
  input_data_versions: { [asset: string]: string };
  is_user_provided: boolean;
}

/** The step's context from the runner, with the members of context.json. */
export interface Context {
  asset_keys: string[] | null;
  code_version_by_asset_key: { [asset: string]: string | null } | null;
  provenance_by_asset_key: { [asset: string]: Provenance | null } | null;
  partition_key: string | null;
  partition_key_range: Range | null;
  partition_time_window: Range | null;
  run_id: string;
  job_name: string | null;
  retry_number: number;
  extras: { [name: string]: Json };
}

/** A value with one of the contract's types. */
export class Typed {
  constructor(
    readonly type: string,
    readonly value: Json,
  ) {}
}

/** Returns a value with one of the contract's types, such as "url", "md", "float", "timestamp" or "table_schema". */
export function typed(type: string, value: Json): Typed {
  return new Typed(type, value);
}

/** Maps names to plain values, whose type the runner infers, or to values from typed(). */
export interface Metadata {
  [name: string]: Json | Typed;
}

/** The result of an asset check. */
export interface Check {
  name: string;
  passed: boolean;
  severity?: "WARN" | "ERROR";
  metadata?: Metadata;
  asset?: string;
}

export type Level = "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL";

const SIGTERM_EXIT_CODE = 143;

/** An open Pipes session. */
export class Session {
  private closed = false;

  private constructor(
    readonly context: Context,
    private readonly file: number,
  ) {}

  /** Reads the context and sends "opened". Every opened session must be closed. */
  static open(): Session {
    const from = bootstrap("DAGSTER_PIPES_CONTEXT");
    const to = bootstrap("DAGSTER_PIPES_MESSAGES");
    const context = JSON.parse(readFileSync(from.path ?? "", "utf8")) as Context;
    const standard = to.stdio === "stdout" ? 1 : 2;
    const session = new Session(context, to.path === undefined ? standard : openSync(to.path, "a"));
    session.send("opened", '{"extras":{}}');
    return session;
  }

  /** Reports an asset, which need not be named in a step with one asset. */
  materialize(metadata: Metadata = {}, options: { asset?: string; dataVersion?: string } = {}): void {
    const version = { data_version: options.dataVersion ?? null };
    this.send("report_asset_materialization", this.about(options.asset, metadata, version));
  }

  /** Reports the result of an asset check; its severity is ERROR by default. */
  check({ name, passed, severity = "ERROR", metadata = {}, asset }: Check): void {
    this.send("report_asset_check", this.about(asset, metadata, { check_name: name, passed, severity }));
  }

  /** Writes to the run's event log. */
  log(level: Level, message: string): void {
    this.send("log", JSON.stringify({ level, message }));
  }

  /** Sends any JSON to the host. */
  custom(payload: Json): void {
    this.send("report_custom_message", JSON.stringify({ payload }));
  }

  /** Sends numbers that the host plots while the step runs; the asset is as in materialize(). */
  progress(metadata: Metadata, asset?: string): void {
    this.send("report_custom_message", `{"payload":${this.about(asset, metadata, { kind: "progress" })}}`);
  }

  /** Adds metadata to the materialization of one partition, in a step that covers several. */
  partitionMetadata(partition: string, metadata: Metadata, asset?: string): void {
    const payload = this.about(asset, metadata, { kind: "partition_metadata", partition_key: partition });
    this.send("report_custom_message", `{"payload":${payload}}`);
  }

  /** Forwards the output of another process to the host. */
  externalStream(stream: "stdout" | "stderr", text: string): void {
    this.send("log_external_stream", JSON.stringify({ stream, text }));
  }

  /** Sends "closed", with the error and its causes if there is one; a second call does nothing. */
  close(error?: unknown): void {
    this.send("closed", error === undefined ? "{}" : JSON.stringify({ exception: exception(error) }));
    this.closed = true;
  }

  private about(asset: string | undefined, metadata: Metadata, rest: { [name: string]: Json }): string {
    const keys = this.context.asset_keys ?? [];
    if (asset === undefined && keys.length !== 1) {
      throw new Error(`pipes: the step has ${keys.length} assets: name the one to report`);
    }
    const params = JSON.stringify({ asset_key: asset ?? keys[0], ...rest });
    return `${params.slice(0, -1)},"metadata":${encode(metadata)}}`;
  }

  private send(method: string, params: string): void {
    if (this.closed) {
      return;
    }
    const line = Buffer.from(`{"__dagster_pipes_version":"0.1","method":"${method}","params":${params}}\n`);
    for (let written = 0; written < line.length; ) {
      written += writeSync(this.file, line, written);
    }
  }
}

/**
 * Opens Pipes, calls the program, closes Pipes and ends the process: with 0, with 1 after an error, and with 143 after
 * SIGTERM, which a program receives only while it awaits something.
 */
export async function run(program: (session: Session) => void | Promise<void>): Promise<never> {
  const session = Session.open();
  const end = (code: number, error?: unknown): never => {
    session.close(error);
    process.exit(code);
  };
  process.once("SIGTERM", () => end(SIGTERM_EXIT_CODE, new Error("ended by SIGTERM")));
  try {
    await program(session);
  } catch (error) {
    console.error(error);
    return end(1, error);
  }
  return end(0);
}

function bootstrap(variable: string): { path?: string; stdio?: string } {
  try {
    const packed = Buffer.from(process.env[variable] ?? "", "base64");
    return JSON.parse(inflateSync(packed).toString("utf8")) as { path?: string; stdio?: string };
  } catch (error) {
    const question = "was this program started by Dagster?";
    throw new Error(`pipes: ${variable} has no bootstrap parameters; ${question}`, { cause: error });
  }
}

function encode(metadata: Metadata): string {
  const entries = Object.entries(metadata).map(([name, value]) => {
    const { type, value: raw } = value instanceof Typed ? value : typed("__infer__", value);
    // JSON.stringify would write a whole float as an integer, which is not a float.
    const text = type === "float" && Number.isInteger(raw) ? (raw as number).toFixed(1) : JSON.stringify(raw);
    return `${JSON.stringify(name)}:{"type":"${type}","raw_value":${text}}`;
  });
  return `{${entries.join(",")}}`;
}

function exception(error: unknown): Json {
  if (error === undefined || error === null) {
    return null;
  }
  if (!(error instanceof Error)) {
    return { name: typeof error, message: String(error), stack: [], cause: null, context: null };
  }
  // The first line only repeats the name and the message.
  const stack = (error.stack ?? "").split("\n").slice(1).reverse();
  return { name: error.name, message: error.message, stack, cause: exception(error.cause), context: null };
}
