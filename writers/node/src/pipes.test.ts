import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { Session, typed } from "./pipes.js";

/** Returns a session started as by the runner, and a reader of its last message. */
function opened(context: object): [Session, () => string] {
  const directory = mkdtempSync(join(tmpdir(), "pipes-"));
  const messages = join(directory, "messages.jsonl");
  writeFileSync(join(directory, "context.json"), JSON.stringify(context));
  writeFileSync(messages, "");
  process.env["DAGSTER_PIPES_CONTEXT"] = packed({ path: join(directory, "context.json") });
  process.env["DAGSTER_PIPES_MESSAGES"] = packed({ path: messages });
  return [Session.open(), () => readFileSync(messages, "utf8").trimEnd().split("\n").at(-1) ?? ""];
}

function packed(params: object): string {
  return deflateSync(JSON.stringify(params)).toString("base64");
}

test("a whole float stays a float on the wire", () => {
  const [session, last] = opened({ asset_keys: ["a"] });
  session.materialize({ share: typed("float", 3) });
  assert.match(last(), /"raw_value":3\.0/);
});

test("a step of several assets must name one", () => {
  const [session, last] = opened({ asset_keys: ["a", "b"] });
  assert.throws(() => session.materialize(), /name the one/);
  session.materialize({}, { asset: "b" });
  assert.match(last(), /"asset_key":"b"/);
});

test("nothing is sent after the close, which carries the cause", () => {
  const [session, last] = opened({});
  session.close(new Error("outer", { cause: new Error("inner") }));
  session.log("INFO", "late");
  assert.match(last(), /"message":"inner"/);
});

test("a program that Dagster did not start fails", () => {
  process.env["DAGSTER_PIPES_CONTEXT"] = "";
  assert.throws(() => Session.open(), /DAGSTER_PIPES_CONTEXT/);
});
