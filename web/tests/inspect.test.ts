// What is in a snapshot, and saving it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { choose, download, open, report, verify } from "./page.ts";
import { fixtures, fromProgram, plain } from "./repositories.ts";

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
/** A browser that cannot stream to disk saves through its downloads. */
const withoutSavePicker = (page: Page) => page.addInitScript("delete window.showSaveFilePicker");

async function inspect(page: Page, snapshot: string): Promise<void> {
  await page.locator("#timeline li", { has: page.locator(`input[value="${snapshot}"]`) }).locator("button").click();
  await page.waitForFunction((id) => document.querySelector("#inspect .facts")?.textContent?.includes(id), snapshot);
}

test("the saved database of every snapshot is unchanged", async () => {
  const { page, close } = await open("file", withoutSavePicker);
  for (const { name, repo, expected } of fixtures().filter(({ name }) => name.startsWith("fixtures/"))) {
    await choose(page, repo);
    for (const { id } of fromProgram(repo, "--all").snapshots.slice(-6)) {
      await inspect(page, id);
      const database = await download(page, () => page.click("text=/Save this snapshot's msgvault.db/"));
      assert.ok(readFileSync(`${expected}/${id}.db.sha256`, "utf8").startsWith(sha256(database)), `${name} ${id}`);
      await page.waitForSelector("#inspect .status:has-text('every page of it')");
    }
  }
  await close();
});

test("the database is streamed to disk where the browser can", async () => {
  const { page, close } = await open("http");
  await choose(page, plain());
  const { id } = fromProgram(plain()).snapshots[0]!;
  await inspect(page, id);
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle("saved.db", { create: true });
    (window as unknown as { showSaveFilePicker: unknown }).showSaveFilePicker = async () => handle;
  });
  await page.click("text=/Save this snapshot's msgvault.db/");
  await page.waitForSelector("#inspect .status:has-text('was written')");
  const saved = await page.evaluate(async () => {
    const handle = await (await navigator.storage.getDirectory()).getFileHandle("saved.db");
    return [...new Uint8Array(await (await handle.getFile()).arrayBuffer())];
  });
  assert.ok(readFileSync(`${plain()}/../expected/${id}.db.sha256`, "utf8").startsWith(sha256(Buffer.from(saved))));
  await close();
});

test("attachments can be searched, and saved like extras", async () => {
  const { page, close } = await open("file");
  await choose(page, plain());
  const { id } = fromProgram(plain(), "--all").snapshots[0]!;
  await inspect(page, id);
  const attachments = page.locator("#inspect input[type=search] ~ ul li");
  await attachments.first().waitFor();
  const all = await attachments.count();
  const hash = (await attachments.nth(1).locator("code").textContent())!;
  await page.fill("#inspect input[type=search]", hash.slice(0, 10).toUpperCase());
  await page.waitForFunction(() => document.querySelectorAll("#inspect input[type=search] ~ ul li").length === 1);
  assert.ok(all > 1);
  assert.equal(sha256(await download(page, () => attachments.first().locator("button").click())), hash);

  const stated = readFileSync(`${plain()}/../expected/${id}.files`, "utf8");
  const extra = page.locator("#inspect .files li:not(.folder):has(span.path)").first();
  const bytes = await download(page, () => extra.locator("button").click());
  const name = (await extra.locator(".path").textContent())!;
  assert.match(stated, new RegExp(`${sha256(bytes)}  .*${name.replaceAll(".", "\\.")}`));
  await close();
});

test("changes since the parent are listed", async () => {
  const { page, close } = await open("file");
  await choose(page, plain());
  const [first, second] = fromProgram(plain(), "--all").snapshots;
  await inspect(page, first!.id);
  await page.waitForSelector("#inspect :text('It is the first snapshot')");
  await inspect(page, second!.id);
  await page.waitForSelector("#inspect :text-matches('Messages: \\\\d+ before, \\\\d+ now')");
  await page.waitForSelector("#inspect :text-matches('pages? of \\\\d+ new or changed')");
  await close();
});

for (const [where, random] of [["first", 0], ["last", 1 - Number.EPSILON]] as const) {
  test(`the sample is intact until its ${where} byte is flipped`, async () => {
    const { page, close } = await open("file", (page) => page.addInitScript(`Math.random = () => ${random}`));
    await page.click("#sample");
    await page.waitForSelector("text=Flip one byte");
    await verify(page, { scope: "latest" });
    assert.equal((await report(page)).verdict, "intact");
    await page.click("text=Flip one byte");
    await page.waitForSelector("#status.warning");
    const path = /Byte \d+ of (packs\S+) was flipped/.exec((await page.textContent("#status"))!)?.[1];
    // Once more, in the same place: that mends nothing.
    await page.click("text=Flip one byte");
    await page.waitForSelector("#status.warning");
    await verify(page, { scope: "latest" });
    const { verdict, problems } = await report(page);
    assert.equal(verdict, "damaged");
    assert.deepEqual([...new Set(problems.map(({ code, file }) => `${code} ${file}`))], [`pack-damaged ${path}`]);
    await close();
  });
}
