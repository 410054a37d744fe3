// The page says about every repository what the program says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type OpenedPage, type Origin, type Wanted, choose, open, report, verify } from "./page.ts";
import { DAMAGES, copy, fixtures, fromProgram, others, own, plain, removeCopies, textFromProgram } from "./repositories.ts";

async function assertSame({ page }: OpenedPage, repo: string, wanted: Wanted, options: string[], name: string): Promise<void> {
  await choose(page, repo);
  await verify(page, wanted);
  const { verified_at, ...fromPage } = await report(page);
  assert.ok(!Number.isNaN(Date.parse(verified_at)));
  assert.deepEqual(fromPage, fromProgram(repo, ...options), name);
  const sentence = await page.textContent("#verdict .sentence");
  assert.equal(sentence, textFromProgram(repo, ...options).trim().split("\n").at(-1), name);
}

for (const origin of ["file", "http"] satisfies Origin[]) {
  test(`every fixture gets the program's report on a page from ${origin}`, async () => {
    const opened = await open(origin);
    for (const { name, repo } of fixtures()) await assertSame(opened, repo, { scope: "all" }, ["--all"], name);
    assert.deepEqual(opened.complaints, []);
    await opened.close();
  });
}

test("every damaged small fixture gets the program's report", async () => {
  const opened = await open("file");
  for (const { name, repo } of own()) {
    for (const damage of DAMAGES) {
      const damaged = copy(repo);
      damage.apply(damaged);
      await assertSame(opened, damaged, { scope: "all" }, ["--all"], `${name}: ${damage.name}`);
      removeCopies();
    }
  }
  assert.deepEqual(opened.complaints, []);
  await opened.close();
});

test("damage to further repositories gets the program's report", async (context) => {
  const more = others();
  if (more.length === 0) return context.skip("MSGVAULT_FIXTURES names none");
  const opened = await open("http");
  for (const { name, repo } of more) {
    for (const damage of DAMAGES.slice(0, 6)) {
      const damaged = copy(repo);
      damage.apply(damaged);
      await assertSame(opened, damaged, { scope: "all" }, ["--all"], `${name}: ${damage.name}`);
      removeCopies();
    }
  }
  await opened.close();
});

test("quick, latest and chosen match the program's options", async () => {
  const opened = await open("file");
  const { page } = opened;
  for (const damage of [undefined, ...DAMAGES]) {
    const repo = copy(plain());
    damage?.apply(repo);
    await assertSame(opened, repo, { scope: "all", depth: "quick" }, ["--all", "--quick"], `quick, ${damage?.name}`);
    await assertSame(opened, repo, { scope: "latest" }, [], `latest, ${damage?.name}`);
  }
  const repo = plain();
  const oldest = fromProgram(repo, "--all").snapshots[0]!.id;
  await choose(page, repo);
  await page.check(`input[name=snapshot][value="${oldest}"]`);
  await verify(page, { scope: "chosen" });
  const { verified_at: _, ...fromPage } = await report(page);
  assert.deepEqual(fromPage, fromProgram(repo, oldest));
  assert.match((await page.textContent("#verdict .command"))!, new RegExp(`msgvault-verify repo ${oldest}`));
  await opened.close();
  removeCopies();
});

test("a quick check is never shown as verified", async () => {
  const { page, close } = await open("file");
  await choose(page, plain());
  await verify(page, { depth: "quick" });
  assert.equal(await page.getAttribute("#verdict", "data-kind"), "unchecked");
  assert.match((await page.textContent("#verdict"))!, /Not verified.*What was not checked.*content of packs/is);
  await verify(page, { depth: "full" });
  assert.equal(await page.getAttribute("#verdict", "data-kind"), "intact");
  await close();
});

test("problems are grouped by the file to fetch", async () => {
  const { page, close } = await open("file");
  const repo = copy(plain());
  DAMAGES.find(({ name }) => name === "a pack gone")!.apply(repo);
  await choose(page, repo);
  assert.match((await page.textContent("#about"))!, /incomplete: 1 pack that the index names is not in it/);
  await verify(page);
  const problems = (await page.textContent("#problems"))!;
  const { file } = fromProgram(repo, "--all").problems[0]!;
  assert.ok(problems.includes(file!), problems);
  assert.match(problems, /Expected: a pack with \d+ blobs?\. Found: no such file/);
  assert.match(problems, /pack-missing A pack is not there\./);
  assert.equal(await page.locator(".packs [data-state=missing]").count(), 1);
  await close();
  removeCopies();
});
