// Files that change, go or are withheld while the page looks at them: nothing about them is damage.

import assert from "node:assert/strict";
import { rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { choose, drop, open, report, verify } from "./page.ts";
import { copy, filesOf, flip, plain, removeCopies } from "./repositories.ts";

/** Verifies, and asserts that nothing is called damaged, and that exactly these files are named with these words. */
async function assertUnchecked(page: Page, repo: string, files: string[], words: RegExp): Promise<void> {
  await verify(page);
  const { verdict, problems, not_checked: left } = await report(page);
  assert.deepEqual(problems, []);
  assert.equal(verdict, "unchecked");
  assert.deepEqual([...new Set(left.map(({ file }) => join(repo, file)))].sort(), files);
  for (const { detail } of left) assert.match(detail, words);
  assert.equal(await page.getAttribute("#verdict", "data-kind"), "unchecked");
  assert.match((await page.textContent("#verdict"))!, /Could not be checked to the end.*What was not checked.*could not be checked:/s);
  assert.ok(await page.isHidden("#problems"));
}

/** Lets a file look as if it was written later: browsers compare whole seconds. */
function touch(file: string): void {
  const later = Date.now() / 1000 + 60;
  utimesSync(file, later, later);
}

const CHANGES: { name: string; folder: string; apply(file: string): void; words: RegExp }[] = [
  { name: "a pack that is touched", folder: "packs", apply: touch, words: /changed after it was chosen/ },
  { name: "a pack that is replaced by another", folder: "packs", apply: (file) => (flip(file, 10), touch(file)), words: /changed after it was chosen/ },
  { name: "a pack that is deleted", folder: "packs", apply: (file) => rmSync(file), words: /is not there any more/ },
  { name: "a manifest that is touched", folder: "snapshots", apply: touch, words: /changed after it was chosen/ },
];

for (const { name, folder, apply, words } of CHANGES) {
  test(`${name} after it was chosen is not damage`, async () => {
    const { page, close } = await open("file");
    const repo = copy(plain());
    await choose(page, repo);
    const file = filesOf(repo, folder)[0]!;
    apply(file);
    await assertUnchecked(page, repo, [file], words);
    await close();
    removeCopies();
  });
}

test("a medium that is taken away is not damage", async () => {
  const { page, close } = await open("file");
  const repo = copy(plain());
  await choose(page, repo);
  const packs = filesOf(repo, "packs");
  for (const pack of packs) rmSync(pack);
  await verify(page);
  const { verdict, problems } = await report(page);
  assert.deepEqual(problems, []);
  assert.equal(verdict, "unchecked");
  assert.equal(await page.locator(".packs [data-state=not-checked]").count(), packs.length);
  await close();
  removeCopies();
});

test("a pack that was damaged before it was chosen is damage", async () => {
  const { page, close } = await open("file");
  const repo = copy(plain());
  flip(filesOf(repo, "packs")[0]!, 10);
  await choose(page, repo);
  await verify(page);
  assert.equal((await report(page)).verdict, "damaged");
  await close();
  removeCopies();
});

const DENIED = "throw new DOMException('it was refused', 'NotAllowedError');";

test("a pack that the browser may not open is not damage", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript(`{
    const { getFile } = FileSystemFileHandle.prototype;
    FileSystemFileHandle.prototype.getFile = async function () {
      if (this.name === window.denied) ${DENIED}
      return getFile.call(this);
    };
  }`));
  const pack = filesOf(plain(), "packs")[0]!;
  await page.evaluate((name) => Object.assign(window, { denied: name }), pack.split("/").at(-1)!);
  await drop(page, plain());
  await assertUnchecked(page, plain(), [pack], /the browser may not open it \(it was refused\)/);
  await close();
});

test("packs in a folder that the browser may not list are not missing", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript(`{
    const { values } = FileSystemDirectoryHandle.prototype;
    FileSystemDirectoryHandle.prototype.values = function () {
      if (this.name === window.denied) ${DENIED}
      return values.call(this);
    };
  }`));
  const folder = filesOf(plain(), "packs")[0]!.split("/").at(-2)!;
  await page.evaluate((name) => Object.assign(window, { denied: name }), folder);
  await drop(page, plain());
  assert.doesNotMatch((await page.textContent("#about"))!, /incomplete/);
  const packs = filesOf(plain(), "packs").filter((pack) => pack.split("/").at(-2) === folder);
  await assertUnchecked(page, plain(), packs, /its folder cannot be listed: the browser may not open it \(NotAllowedError: it was refused\)/);
  await close();
});

test("an index file that the browser may not open is not damage", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript(`{
    const { getFile } = FileSystemFileHandle.prototype;
    FileSystemFileHandle.prototype.getFile = async function () {
      if (this.name.endsWith(".mvidx")) ${DENIED}
      return getFile.call(this);
    };
  }`));
  await drop(page, plain());
  await assertUnchecked(page, plain(), filesOf(plain(), "indexes"), /the browser may not open it/);
  await close();
});
