// The page in Firefox, which has neither pickers nor handles.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { after, describe, test } from "node:test";
import type { Report } from "../page/messages.ts";
import { FIREFOX, Firefox, FirefoxTab, hasFirefox } from "./firefox.ts";
import { PAGE, holdChecks, serve } from "./page.ts";
import { DAMAGES, copy, fixtures, fromProgram, plain, removeCopies } from "./repositories.ts";

async function report(tab: FirefoxTab): Promise<Omit<Report, "verified_at">> {
  const { verified_at, ...rest } = JSON.parse(String(await tab.download("#verdict .actions button")));
  assert.ok(!Number.isNaN(Date.parse(verified_at)));
  return rest;
}

/** A copy without the files that keep empty folders in Git: they share a name, and `choose` can tell names only. */
function bare(repo: string): string {
  const made = copy(repo);
  const kept = readdirSync(made, { recursive: true, encoding: "utf8" }).filter((file) => basename(file) === ".gitkeep");
  for (const file of kept) rmSync(join(made, file));
  return made;
}

describe("in Firefox", { skip: !hasFirefox() && `${FIREFOX} is not here` }, () => {
  let started: Promise<Firefox> | undefined;
  const firefox = () => (started ??= Firefox.start());
  const open = async (url = `file://${PAGE}`) => FirefoxTab.open(await firefox(), url);
  after(async () => (await started)?.quit());

  test("every fixture and every damaged copy gets the program's report", async () => {
    const tab = await open();
    const repos = fixtures().filter(({ name }) => name.startsWith("fixtures/")).map(({ name, repo }) => ({ name, make: () => bare(repo) }));
    const damaged = DAMAGES.map(({ name, apply }) => ({ name, make: () => {
      const repo = bare(plain());
      apply(repo);
      return repo;
    } }));
    for (const { name, make } of [...repos, ...damaged]) {
      const repo = make();
      await tab.choose(repo);
      await tab.verify();
      assert.deepEqual(await report(tab), fromProgram(repo, "--all"), name);
      removeCopies();
    }
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("a page from a web server does the same without a request", async () => {
    const server = await serve([]);
    const tab = await open(server.url);
    const repo = bare(plain());
    await tab.choose(repo);
    await tab.verify();
    assert.deepEqual(await report(tab), fromProgram(repo, "--all"));
    removeCopies();
    assert.deepEqual(tab.requests.filter((url) => !/^(data|blob):/.test(url)), [server.url]);
    assert.deepEqual(tab.complaints, []);
    await tab.close();
    server.close();
  });

  test("a cancelled run has a partial report", async () => {
    const tab = await open();
    await tab.evaluate(holdChecks(2));
    await tab.choose(plain());
    await tab.click("input[name=scope][value=all]");
    await tab.click("#start");
    await tab.until("document.body.dataset.held");
    await tab.click("#cancel");
    await tab.until("!document.querySelector('#verdict').hidden && !document.body.dataset.running");
    assert.match(await tab.text("#verdict"), /Not checked to the end.*What was not checked.*3 packs of 5/s);
    const { verdict, complete } = await report(tab);
    assert.deepEqual({ verdict, complete }, { verdict: "unchecked", complete: false });
    await tab.close();
  });

  test("a flipped byte damages the sample", async () => {
    const tab = await open();
    await tab.click("#sample");
    await tab.until("document.querySelector('#status button')");
    await tab.verify();
    assert.equal((await report(tab)).verdict, "intact");
    await tab.click("#status button");
    await tab.until("document.querySelector('#status.warning button')");
    await tab.verify();
    assert.equal((await report(tab)).verdict, "damaged");
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("a saved attachment is unchanged", async () => {
    const tab = await open();
    await tab.choose(plain());
    await tab.click("#timeline button");
    const row = "#inspect input[type=search] ~ ul li";
    await tab.until(`document.querySelector(${JSON.stringify(row)})`);
    const hash = await tab.text(`${row} code`);
    const bytes = await tab.download(`${row} button`);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), hash);
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });
});
