// Every way to hand over a folder, and what is said of a folder that is not a repository.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { type Origin, choose, drop, open, report, verify } from "./page.ts";
import { copy, filesOf, fromProgram, plain, removeCopies } from "./repositories.ts";

for (const origin of ["file", "http"] as const) {
  test(`a folder can be dropped on a page from ${origin}`, async () => {
    const { page, close, complaints } = await open(origin);
    await drop(page, plain());
    await verify(page);
    const { verified_at: _, ...fromPage } = await report(page);
    assert.deepEqual(fromPage, fromProgram(plain(), "--all"));
    assert.deepEqual(complaints, []);
    await close();
  });
}

test("a browser without handles reads what is dropped as entries", async () => {
  const { page, close } = await open("http", (page) =>
    page.addInitScript("delete DataTransferItem.prototype.getAsFileSystemHandle"));
  await drop(page, plain());
  await verify(page);
  assert.equal((await report(page)).verdict, "intact");
  await close();
});

test("the contents of a folder can be dropped in its place", async () => {
  const { page, close } = await open("http");
  await drop(page, ...["config.toml", "snapshots", "packs", "indexes"].map((name) => join(plain(), name)));
  await verify(page);
  assert.equal((await report(page)).verdict, "intact");
  await close();
});

test("a folder can be picked", async () => {
  const { page, close } = await open("http");
  const files = ["config.toml", ...["packs", "snapshots", "indexes"].flatMap((name) => filesOf(plain(), name).map((file) => file.slice(plain().length + 1)))];
  const contents = files.map((file) => [file, readFileSync(join(plain(), file)).toString("base64")] as const);
  // The picker cannot be driven: what it would return is made in the page's private file system.
  await page.evaluate(async (contents) => {
    const root = await navigator.storage.getDirectory();
    const repo = await root.getDirectoryHandle("picked", { create: true });
    for (const [path, content] of contents) {
      const names = path.split("/");
      let folder = repo;
      for (const name of names.slice(0, -1)) folder = await folder.getDirectoryHandle(name, { create: true });
      const file = await (await folder.getFileHandle(names.at(-1)!, { create: true })).createWritable();
      await file.write(Uint8Array.from(atob(content), (character) => character.charCodeAt(0)));
      await file.close();
    }
    (window as unknown as { showDirectoryPicker: unknown }).showDirectoryPicker = async () => repo;
  }, contents);
  await page.click("#pick");
  await page.waitForSelector("#repository:not([hidden])");
  await verify(page);
  assert.equal((await report(page)).verdict, "intact");
  await close();
});

test("closing the picker changes nothing", async () => {
  const { page, close, complaints } = await open("http", (page) =>
    page.addInitScript("window.showDirectoryPicker = async () => { throw new DOMException('', 'AbortError') }"));
  await choose(page, plain());
  await page.click("#pick");
  await verify(page);
  assert.deepEqual(complaints, []);
  await close();
});

test("a repository is found inside the chosen folder", async () => {
  const { page, close } = await open("file");
  const repo = copy(plain(), "disk/backups/msgvault");
  await choose(page, dirname(dirname(repo)));
  assert.match((await page.textContent("#status"))!, /found in disk\/backups\/msgvault/);
  await verify(page);
  assert.equal((await report(page)).verdict, "intact");
  await close();
  removeCopies();
});

test("either of two repositories in a folder can be chosen", async () => {
  const { page, close } = await open("file");
  const repo = copy(plain(), "disk/first");
  cpSync(repo, join(dirname(repo), "second"), { recursive: true });
  await choose(page, dirname(repo));
  assert.match((await page.textContent("#status"))!, /several repositories/);
  await page.click("text=disk/second");
  await page.waitForSelector("#repository:not([hidden])");
  assert.match((await page.textContent("#about h2"))!, /second/);
  await close();
  removeCopies();
});

const config = (change: (text: string) => string) => (repo: string) => {
  const file = join(repo, "config.toml");
  writeFileSync(file, change(readFileSync(file, "utf8")));
};

const instead = (...files: string[]) => (repo: string) => {
  rmSync(repo, { recursive: true });
  mkdirSync(repo);
  for (const file of files) writeFileSync(join(repo, file), "");
};

const STATES: { name: string; state: string; says: RegExp; make(repo: string): void }[] = [
  { name: "a folder of something else", state: "no-repository", says: /repo holds no msgvault repository\. Choose the folder that/, make: instead("letter.txt") },
  { name: "the archive instead of its backup", state: "no-repository", says: /is an archive .*not the backup of one/, make: instead("msgvault.db", "config.toml") },
  { name: "one folder of a repository", state: "no-repository", says: /is only part of a repository\. Choose the folder around it/, make: (repo) => {
    const folders = readdirSync(repo).filter((name) => name !== "snapshots");
    for (const name of folders) rmSync(join(repo, name), { recursive: true });
    cpSync(join(repo, "snapshots"), repo, { recursive: true });
    rmSync(join(repo, "snapshots"), { recursive: true });
  } },
  { name: "a disk with very many folders", state: "no-repository", says: /very many folders/, make: (repo) => {
    instead("letter.txt")(repo);
    for (let number = 0; number < 600; number++) {
      mkdirSync(join(repo, String(number)));
      writeFileSync(join(repo, String(number), "letter.txt"), "");
    }
  } },
  { name: "a copy without config.toml", state: "incomplete", says: /incomplete; fetch config\.toml/, make: (repo) => rmSync(join(repo, "config.toml")) },
  { name: "a newer format", state: "too-new", says: /: the repository needs a reader of version 99; upgrade this program, which reads up to \d+\.$/, make: config((text) => text.replace(/min_reader_version = \d+/, "min_reader_version = 99")) },
  { name: "an encrypted repository", state: "encrypted", says: /encrypted/, make: config((text) => text.replace(/encryption = .*/, 'encryption = "age"')) },
  { name: "a damaged configuration", state: "damaged-config", says: /config\.toml of the repository is damaged/, make: config((text) => text.slice(0, 20)) },
];

for (const { name, state, says, make } of STATES) {
  test(`${name} is recognized`, async () => {
    const { page, close } = await open("file");
    const repo = copy(plain());
    make(repo);
    await choose(page, repo);
    assert.equal(await page.getAttribute("#status", "data-state"), state);
    assert.match((await page.textContent("#status"))!, says);
    assert.ok(await page.isHidden("#repository"));
    await close();
    removeCopies();
  });
}

test("an empty repository is called empty", async () => {
  const { page, close } = await open("http");
  const repo = copy(plain());
  for (const folder of ["snapshots", "packs", "indexes"]) filesOf(repo, folder).forEach((file) => rmSync(file));
  await drop(page, repo);
  assert.match((await page.textContent("#about"))!, /repository is empty/);
  await verify(page);
  assert.equal(await page.getAttribute("#verdict", "data-kind"), "unchecked", "nothing to check is not intact");
  assert.match((await page.textContent("#verdict"))!, /No snapshot to check.*nothing was checked/);
  assert.match((await page.textContent("#announcement"))!, /nothing was checked/);
  await close();
  removeCopies();
});

test("a copy without manifests is not called empty", async () => {
  const { page, close } = await open("file");
  const repo = copy(plain());
  rmSync(join(repo, "snapshots"), { recursive: true });
  await choose(page, repo);
  assert.match((await page.textContent("#about"))!, /packs but no snapshot.*lacks what is in snapshots\//);
  await close();
  removeCopies();
});

const WAYS: { way: string; origin: Origin; without?: string; choose: typeof drop }[] = [
  { way: "dropped as handles", origin: "file", choose: drop },
  { way: "dropped as entries", origin: "http", without: "DataTransferItem.prototype.getAsFileSystemHandle", choose: drop },
  { way: "chosen with the input", origin: "file", choose },
];

for (const { way, origin, without, choose } of WAYS) {
  test(`thousands of files in one folder are all found when ${way}`, async () => {
    const { page, close } = await open(origin, async (page) => without && page.addInitScript(`delete ${without}`));
    const repo = copy(plain());
    mkdirSync(join(repo, "packs", "7z"), { recursive: true });
    for (let number = 0; number < 3000; number++) {
      writeFileSync(join(repo, "packs", "7z", `7z${String(number).padStart(24, "0")}.mvpack`), "");
    }
    await page.evaluate(() => {
      const seen = new Set<string>();
      const look = () => {
        seen.add(document.querySelector("#status")!.textContent!.replace(/\d.*/, "…"));
        setTimeout(look);
      };
      look();
      Object.assign(window, { seen });
    });
    await choose(page, repo);
    assert.ok(await page.evaluate("seen.has('Listing files: …')"), "the page responds while files are listed");
    await verify(page);
    assert.match((await page.textContent("#map"))!, /3000 unreferenced/);
    assert.equal((await report(page)).verdict, "intact");
    await close();
    removeCopies();
  });
}
