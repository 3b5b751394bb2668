import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";

interface Message {
  method: string;
  params: Record<string, any>;
}

/** Runs the workload as its container does, with files instead of a host; returns its exit code and messages. */
function run(extras: object): [number | null, Message[]] {
  const directory = mkdtempSync(join(tmpdir(), "workload-"));
  const context = join(directory, "context.json");
  const messages = join(directory, "messages.jsonl");
  writeFileSync(context, JSON.stringify({ asset_keys: ["trips"], partition_key: "2024-01", extras }));
  writeFileSync(messages, "");
  const { status } = spawnSync(process.execPath, [fileURLToPath(new URL("main.js", import.meta.url))], {
    env: { ...process.env, DAGSTER_PIPES_CONTEXT: packed(context), DAGSTER_PIPES_MESSAGES: packed(messages) },
    stdio: "inherit",
  });
  const lines = readFileSync(messages, "utf8").trimEnd().split("\n");
  return [status, lines.map((line) => JSON.parse(line) as Message)];
}

/** Returns a path in the form of Pipes' bootstrap parameters. */
function packed(path: string): string {
  return deflateSync(JSON.stringify({ path })).toString("base64");
}

test("it reports what it counted", () => {
  const [exitCode, messages] = run({ rows: 5 });
  assert.equal(exitCode, 0);
  const params = (method: string) => messages.find((message) => message.method === method)?.params;
  assert.equal(params("log")?.["message"], "5 rows, partition 2024-01");
  assert.equal(params("report_asset_materialization")?.["metadata"].rows.raw_value, 5);
  assert.deepEqual(params("closed"), {});
});

test("an error is reported with the close", () => {
  const [exitCode, messages] = run({ rows: "many" });
  assert.equal(exitCode, 1);
  assert.equal(messages.at(-1)?.params["exception"].name, "TypeError");
});
