// The programs pass the page on as it was built: one writes it to a file, the other serves it.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { PAGE, choose, openAt, report, verify } from "./page.ts";
import { fromProgram, plain } from "./repositories.ts";

/** Programs that were built with the page inside. */
const PROGRAMS = resolve("out/programs");

test("the page that a program writes is the one that was built", () => {
  const folder = mkdtempSync(join(tmpdir(), "msgvault-written-"));
  const file = join(folder, "verify.html");
  execFileSync(join(PROGRAMS, "msgvault-verify"), ["--write-page", file]);
  assert.ok(readFileSync(file).equals(readFileSync(PAGE)));
  rmSync(folder, { recursive: true });
});

test("a daemon offers the page at /verify, where it works", async () => {
  const home = mkdtempSync(join(tmpdir(), "msgvault-home-"));
  writeFileSync(join(home, "config.toml"), "");
  writeFileSync(join(home, "msgvault.db"), "");
  const daemon = spawn(join(PROGRAMS, "msgvault"), ["serve", "--home", home], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<number | null>((done) => daemon.once("exit", done));
  try {
    const url = `http://${await address(daemon)}/verify`;
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "text/html; charset=utf-8");
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(readFileSync(PAGE)));

    const { page, requests, complaints, close } = await openAt(url);
    const policy = await page.getAttribute("meta[http-equiv=Content-Security-Policy]", "content");
    assert.match(policy!, /^default-src 'none'; .*connect-src 'none'/);
    await choose(page, plain());
    await verify(page);
    const { verified_at: _, ...fromPage } = await report(page);
    assert.deepEqual(fromPage, fromProgram(plain(), "--all"));
    assert.deepEqual(requests.filter((request) => !/^(data|blob):/.test(request)), [url]);
    assert.deepEqual(complaints, []);
    await close();
  } finally {
    daemon.kill();
    assert.equal(await ended, 0);
    rmSync(home, { recursive: true });
  }
});

/** Where a daemon says that it listens. */
async function address(daemon: ChildProcess): Promise<string> {
  const lines = createInterface(daemon.stderr!);
  for await (const line of lines) {
    const found = /msg=listening address=(\S+)/.exec(line)?.[1];
    if (found) return found;
  }
  throw new Error("the daemon ended before it listened");
}
