// What a person sees of a repository, of a verification, and of a snapshot.

import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { choose, holdChecks, open, verify } from "./page.ts";
import { copy, filesOf, fromProgram, plain, removeCopies, textFromProgram } from "./repositories.ts";

const NOW = new Date("2026-11-24T09:00:00Z");

test("locks say who is working, and which were left behind", async () => {
  const { page, close } = await open("file", (page) => page.clock.setFixedTime(NOW));
  const repo = copy(plain());
  const lock = (name: string, operation: string, acquired_at: string) =>
    writeFileSync(join(repo, "locks", name), JSON.stringify({ hostname: "attic", pid: 7, operation, acquired_at }));
  await choose(page, repo);
  assert.match((await page.textContent("#about"))!, /Locksnone/);
  lock("exclusive.json", "create", "2026-11-24T08:59:00Z");
  lock("shared-01arz3ndektsv4rrffq69g5fav.json", "restore", "2026-11-24T08:58:00Z");
  await choose(page, repo);
  const about = (await page.textContent("#about"))!;
  assert.match(about, /attic is writing a backup now/);
  assert.match(about, /create on attic \(process 7\) since .*; restore on attic \(process 7\) since/);
  lock("exclusive.json", "create", "2026-11-22T08:59:00Z");
  await choose(page, repo);
  assert.match((await page.textContent("#about"))!, /attic took a lock 2 days ago.*left behind/);
  await close();
  removeCopies();
});

test("an old snapshot gets a warning, a recent one does not", async () => {
  const created = fromProgram(plain()).snapshots[0]!.id.slice(0, 8).replace(/(....)(..)(..)/, "$1-$2-$3T00:00:00Z");
  for (const [days, warns] of [[3, false], [30, true]] as const) {
    const now = new Date(Date.parse(created) + days * 24 * 3600 * 1000);
    const { page, close } = await open("file", (page) => page.clock.setFixedTime(now));
    await choose(page, plain());
    const about = (await page.textContent("#about"))!;
    assert.match(about, /Latest snapshot.* days ago/);
    assert.equal(/The latest snapshot is \d+ days old/.test(about), warns, about);
    await close();
  }
});

test("the time line shows every snapshot, newest first", async () => {
  const { page, close } = await open("file");
  await choose(page, plain());
  const rows = page.locator("#timeline li");
  const ids = fromProgram(plain(), "--all").snapshots.map(({ id }) => id).reverse();
  assert.deepEqual(await rows.locator(".id").allTextContents(), ids);
  for (const text of await rows.allTextContents()) {
    assert.match(text, /\d+ messages? · .*B database · \d+ attachments?\+.*B/);
  }
  await close();
});

for (const [depth, says] of [
  ["full", /^[\d.]+ (B|KiB) of [\d.]+ KiB, .*B\/s/],
  ["quick", /^References into 2 of 5 packs looked up; content is not read$/],
] as const) {
  test(`progress of a ${depth} check says what it counts`, async () => {
    const { page, close } = await open("file", (page) => page.addInitScript(holdChecks(2)));
    await choose(page, plain());
    await page.check("input[name=scope][value=all]");
    await page.check(`input[name=depth][value=${depth}]`);
    await page.click("#start");
    await page.waitForSelector("body[data-held]");
    await page.waitForFunction((says) => new RegExp(says).test(document.querySelector(".rate")!.textContent!), says.source);
    const bar = page.locator("progress");
    assert.ok(Number(await bar.getAttribute("value")) > 0 && await bar.isVisible());
    assert.ok(await page.isEnabled("#cancel") && await page.isDisabled("#start"));
    await close();
  });
}

test("the map describes packs, and their states without colour", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript(holdChecks(2)));
  const repo = copy(plain());
  rmSync(filesOf(repo, "packs").at(-1)!);
  await choose(page, repo);
  await page.check("input[name=scope][value=all]");
  await page.click("#start");
  await page.waitForSelector("body[data-held]");
  await page.waitForFunction(() => document.querySelectorAll(".packs [data-state=good]").length === 2);
  const cells = page.locator(".packs button");
  const states = await cells.evaluateAll((cells) => cells.map((cell) => [(cell as HTMLElement).dataset["state"], cell.textContent]));
  assert.equal(new Set(states.map(([, sign]) => sign)).size, new Set(states.map(([state]) => state)).size);
  assert.equal(states.at(-1)?.[0], "missing");
  await cells.first().focus();
  const [first, second] = filesOf(repo, "packs").map((file) => file.slice(repo.length + 1));
  assert.match((await page.textContent(".about-pack"))!, new RegExp(`^${first}: [\\d.]+ KiB, \\d+ blobs, (good|being read)$`));
  await page.keyboard.press("ArrowRight");
  assert.ok((await page.textContent(".about-pack"))!.startsWith(`${second}: `));
  await page.keyboard.press("End");
  assert.match((await page.textContent(".about-pack"))!, /: no file, \d+ blobs?, missing$/);
  await cells.first().hover();
  assert.ok((await page.textContent(".about-pack"))!.startsWith(`${first}: `));
  await page.click("#cancel");
  await page.waitForSelector("#verdict:not([hidden])");
  assert.match((await page.textContent(".about-pack"))!, /, (good|not checked)$/, "it follows the state");
  await close();
  removeCopies();
});

test("the report can be copied with version, time and identity", async () => {
  const { page, context, close } = await open("http");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await choose(page, plain());
  await verify(page);
  await page.click("text=Copy report (text)");
  await page.waitForSelector("text=Copied");
  const text = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(text.startsWith(textFromProgram(plain(), "--all").trimEnd()));
  assert.match(text, /\n\nmsgvault-verify \d+\.\d+\.\d+, in a browser, \d{4}-.*Z\nrepository [0-9a-f-]{36}\n$/);
  await close();
});

test("the manifest is shown field by field", async () => {
  const { page, close } = await open("file");
  await choose(page, plain());
  const file = filesOf(plain(), "snapshots")[1]!;
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  await page.locator("#timeline li", { has: page.locator(`input[value="${manifest.snapshot_id}"]`) }).locator("button").click();
  await page.waitForSelector("#inspect .facts");
  const text = (await page.textContent("#inspect .facts"))!;
  const { db, attachments, extras, new_packs, new_index, excluded, parent_id, snapshot_id, msgvault_version } = manifest;
  const fields = [snapshot_id, parent_id, msgvault_version, db.page_map, db.page_hash_map, ...attachments.lists,
    extras.tree, ...new_packs, new_index, ...excluded, `${db.page_count} pages of ${db.page_size}`];
  for (const field of fields) assert.ok(text.includes(field), `${field} is not in ${text}`);
  await close();
});

test("a database too large for memory is refused with advice", async () => {
  // Nobody has a database of one TiB to test with: the Worker's answer is changed on its way.
  const tooLarge = `{
    delete window.showSaveFilePicker;
    const { get } = Object.getOwnPropertyDescriptor(MessageEvent.prototype, "data");
    Object.defineProperty(MessageEvent.prototype, "data", { get() {
      const data = get.call(this);
      if (data?.value?.database_bytes) data.value.database_bytes = 2 ** 40;
      return data;
    } });
  }`;
  const { page, close } = await open("file", (page) => page.addInitScript(tooLarge));
  await choose(page, plain());
  await page.click("text=Look inside >> nth=0");
  await page.click("text=/Save this snapshot's msgvault.db \\(1.0 TiB\\)/");
  await page.waitForSelector("#inspect .status:has-text('save only through memory')");
  assert.match((await page.textContent("#inspect .status"))!, /1\.0 TiB is too much.*Use Chromium, Chrome or Edge, or msgvault restore/);
  await close();
});
