// The types of what Workers answer are those of what Rust makes: real answers are compared by the compiler.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { choose, open, verify } from "./page.ts";
import { DAMAGES, copy, fixtures, removeCopies } from "./repositories.ts";

const TYPES: { [call: string]: string } = {
  openSession: "Opened",
  plan: "TaskRow[]",
  check: "Checked",
  report: "Outcome",
  details: "Details",
  changes: "Changes | null",
  attachments: "AttachmentPage",
};

const record = `{
  window.answers = [];
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    this.addEventListener("message", ({ data }) => {
      if (data.id === message.id && "value" in data) window.answers.push([message.call, data.value]);
    });
    post.call(this, message, ...rest);
  };
}`;

test("answers have the types that the page takes them for", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript(record));
  const broken = copy(fixtures()[0]!.repo);
  DAMAGES[0]!.apply(broken);
  for (const repo of [broken, ...fixtures().map(({ repo }) => repo)]) {
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
  const names = "Opened, TaskRow, Checked, Outcome, Details, Changes, AttachmentPage";
  const lines = answers.filter(([call]) => TYPES[call]).map(([call, value], number) =>
    `export const answer${number}: ${TYPES[call]} = ${JSON.stringify(value)};`);
  writeFileSync("out/documents/answers.ts", `import type { ${names} } from "../../page/messages.ts";\n${lines.join("\n")}\n`);
  writeFileSync("out/documents/tsconfig.json", JSON.stringify({ extends: "../../tsconfig.json", include: ["answers.ts"] }));
  const { status, stdout } = spawnSync("node_modules/.bin/tsc", ["--noEmit", "-p", "out/documents"], { encoding: "utf8" });
  assert.equal(status, 0, stdout.slice(0, 4000));
});
