// Nothing leaves the page, nothing from a repository becomes part of it, and a run can be ended.

import assert from "node:assert/strict";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { DYING_CHECK, choose, holdChecks, open, report, verify } from "./page.ts";
import { copy, plain, removeCopies } from "./repositories.ts";

for (const origin of ["file", "http"] as const) {
  test(`no request leaves a page from ${origin}`, async () => {
    const { page, requests, close } = await open(origin);
    await choose(page, plain());
    await verify(page);
    await page.click("text=Look inside >> nth=0");
    await page.waitForSelector("#inspect .files");
    const [itself, ...others] = requests.filter((url) => !/^(data|blob):/.test(url));
    assert.match(itself!, /^(file:\/\/.*msgvault-verify\.html|http:\/\/127\.0\.0\.1:\d+\/verify)$/);
    assert.deepEqual(others, []);
    await close();
  });
}

test("the page's own policy forbids every connection, in Workers too", async () => {
  const { page, served, close } = await open("http");
  const refused = await page.evaluate(async () => {
    const attempt = (work: () => Promise<unknown>) => work().then(() => "allowed", () => "refused");
    const inWorker = `fetch(${JSON.stringify(location.href)}).then(() => postMessage("allowed"), () => postMessage("refused"))`;
    const worker = new Worker(URL.createObjectURL(new Blob([inWorker])));
    const fromWorker = new Promise((done) => (worker.onmessage = (event) => done(event.data)));
    const image = new Promise((_, reject) => Object.assign(new Image(), { onerror: reject, src: "/picture.png" }));
    return Promise.all([attempt(() => fetch(location.href)), fromWorker, attempt(() => image)]);
  });
  assert.deepEqual(refused, ["refused", "refused", "refused"]);
  assert.deepEqual(served, ["/verify"]);
  await close();
});

const MARKUP = "<img src=x onerror=window.hacked=1>";
const BIDI = "user\u202egpj.exe";

test("hostile names are shown as text", async () => {
  const { page, complaints, close } = await open("file");
  const repo = copy(plain());
  const names = [`${MARKUP}.mvmanifest`, `${BIDI}.mvmanifest`, `${"n".repeat(244)}.mvmanifest`];
  for (const name of names) writeFileSync(join(repo, "snapshots", name), "{}");
  mkdirSync(join(repo, "packs", "xx"), { recursive: true });
  writeFileSync(join(repo, "packs", "xx", `${MARKUP}.mvpack`), "");
  const lock = { hostname: `${MARKUP}${BIDI}`, pid: 1, operation: "create", acquired_at: "2026-01-01T00:00:00Z" };
  writeFileSync(join(repo, "locks", "exclusive.json"), JSON.stringify(lock));
  const folder = join(dirname(repo), `${MARKUP}${BIDI}`);
  renameSync(repo, folder);
  await choose(page, folder);
  await verify(page);
  const text = (await page.textContent("body"))!;
  assert.ok(text.includes(MARKUP), "the name is shown as it is");
  assert.ok(text.includes("user\\u{202e}gpj.exe"), "deceiving characters are escaped");
  assert.ok(text.includes("n".repeat(244)));
  assert.ok(!/[\u202a-\u202e\u2066-\u2069]/.test(text));
  assert.equal(await page.evaluate("window.hacked"), undefined);
  assert.equal(await page.locator("img").count(), 0);
  const { problems, foreign } = await report(page);
  assert.deepEqual(problems, []);
  assert.equal(foreign.filter(({ file }) => file.startsWith("snapshots/")).length, 3);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "long names do not widen the page");
  assert.deepEqual(complaints, []);
  await close();
  removeCopies();
});

test("a cancelled run is partial, and the next one is whole", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript(holdChecks(2)));
  await choose(page, plain());
  await page.check("input[name=scope][value=all]");
  await page.click("#verify button[type=submit]");
  await page.waitForSelector("body[data-held]");
  await page.click("#cancel");
  await page.waitForSelector("#verdict:not([hidden])");
  assert.equal(await page.getAttribute("#verdict", "data-kind"), "unchecked");
  const text = (await page.textContent("#verdict"))!;
  assert.match(text, /Not checked to the end.*What was not checked.*3 packs of 5/s);
  const partial = await report(page);
  assert.equal(partial.verdict, "unchecked");
  assert.equal(partial.complete, false);
  assert.equal(await page.locator(".packs [data-state=not-checked]").count(), 3);

  const fresh = await open("file");
  await choose(fresh.page, plain());
  await verify(fresh.page);
  assert.equal((await report(fresh.page)).verdict, "intact");
  await Promise.all([close(), fresh.close()]);
});

test("a Worker that dies leaves its pack unchecked", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript(DYING_CHECK));
  await choose(page, plain());
  await verify(page);
  const { verdict, not_checked: left } = await report(page);
  assert.equal(verdict, "unchecked");
  assert.ok(left.length > 0 && left.every(({ detail }) => /^not checked: the browser ended its Worker, most likely for want of memory/.test(detail)));
  assert.match((await page.textContent("#verdict"))!, /for want of memory \(out of memory\)/);
  await close();
});

test("a run cancelled while it is planned leaves the repository open", async () => {
  const hold = `{
    const post = Worker.prototype.postMessage;
    let first = true;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (message.call === "plan" && first) first = false;
      else post.call(this, message, ...rest);
    };
  }`;
  const { page, close } = await open("file", (page) => page.addInitScript(hold));
  await choose(page, plain());
  await page.click("#verify button[type=submit]");
  await page.click("#cancel");
  await page.waitForSelector("#verdict[data-kind=unchecked]:not([hidden])");
  assert.match((await page.textContent("#verdict"))!, /Could not be checked.*cancelled/s);
  await page.waitForSelector("body:not([data-running])");
  await verify(page);
  assert.equal((await report(page)).verdict, "intact");
  await close();
});
