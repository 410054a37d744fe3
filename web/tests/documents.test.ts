// The types of the Workers' answers match what Rust makes: the compiler compares them with real answers.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DYING_CHECK, choose, open, verify } from "./page.ts";
import { DAMAGES, copy, fixtures, plain, removeCopies } from "./repositories.ts";

const TYPES: { [call: string]: string } = {
  openSession: "RepositoryView",
  plan: "TaskRow[]",
  check: "CheckedPack",
  report: "VerificationOutcome",
  details: "Details",
  changes: "Changes | null",
  attachments: "AttachmentPage",
  failure: "CallFailure",
};

const record = `{
  window.answers = [];
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    this.addEventListener("message", ({ data }) => {
      if (data.id !== message.id) return;
      window.answers.push("failure" in data ? ["failure", data.failure] : [message.call, data.value]);
    });
    post.call(this, message, ...rest);
  };
}`;

/** Copies in which something is missing or unusual, so that whatever may be null is null in one. */
function unusual(): string[] {
  const broken = copy(plain());
  DAMAGES.find(({ name }) => name === "a pack gone")!.apply(broken);
  writeFileSync(join(broken, "locks", "exclusive.json"), "no lock");
  const lock = { hostname: "attic", pid: 7, operation: "verify", acquired_at: "2026-01-01T00:00:00Z" };
  writeFileSync(join(broken, "locks", "shared-01arz3ndektsv4rrffq69g5fav.json"), JSON.stringify(lock));
  const unindexed = copy(plain());
  DAMAGES.find(({ name }) => name === "an index flipped")!.apply(unindexed);
  return [broken, unindexed];
}

test("answers have the types that the page expects", async () => {
  const { page, close } = await open("file", async (page) => {
    await page.addInitScript(DYING_CHECK);
    await page.addInitScript(record);
  });
  const refused = copy(plain());
  writeFileSync(join(refused, "config.toml"), "");
  await choose(page, refused);
  for (const repo of [...unusual(), ...fixtures().map(({ repo }) => repo)]) {
    await choose(page, repo);
    await verify(page, { scope: "latest" });
    await page.click("text=Look inside >> nth=0");
    await page.waitForFunction(() => !document.querySelector("#inspect")?.textContent?.match(/Reading…|Comparing…/));
  }
  const answers = await page.evaluate("window.answers") as [string, unknown][];
  await close();
  removeCopies();
  const seen = new Set(answers.map(([call]) => call));
  for (const call of Object.keys(TYPES)) assert.ok(seen.has(call), `${call} was never answered`);

  mkdirSync("out/documents", { recursive: true });
  const names = "CallFailure, RepositoryView, TaskRow, CheckedPack, VerificationOutcome, Details, Changes, AttachmentPage";
  const lines = answers.filter(([call]) => TYPES[call]).map(([call, value], number) =>
    `export const answer${number}: ${TYPES[call]} = ${JSON.stringify(value)};`);
  writeFileSync("out/documents/answers.ts", `import type { ${names} } from "../../page/messages.ts";\n${lines.join("\n")}\n`);
  writeFileSync("out/documents/tsconfig.json", JSON.stringify({ extends: "../../tsconfig.json", include: ["answers.ts"] }));
  const { status, stdout } = spawnSync("node_modules/.bin/tsc", ["--noEmit", "-p", "out/documents"], { encoding: "utf8" });
  assert.equal(status, 0, stdout.slice(0, 4000));
});
