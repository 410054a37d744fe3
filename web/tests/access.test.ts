// Everyone can use the page: by keyboard, with a screen reader, in the dark, on a phone.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { choose, holdChecks, open, report, verify } from "./page.ts";
import { copy, filesOf, flip, plain, removeCopies } from "./repositories.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Violation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}

function damaged(): string {
  const repo = copy(plain());
  const packs = filesOf(repo, "packs");
  flip(packs[0]!, 10);
  rmSync(packs.at(-1)!);
  return repo;
}

/** Every state of the page, and how to get there. */
const STATES: { [state in string]: (page: Page) => Promise<unknown> } = {
  empty: async () => {},
  explained: async (page) => choose(page, `${plain()}/snapshots`),
  opened: async (page) => choose(page, plain()),
  running: async (page) => {
    await choose(page, plain());
    await page.check("input[name=scope][value=all]");
    await page.click("#start");
    await page.waitForSelector("body[data-held]");
  },
  clean: async (page) => {
    await choose(page, plain());
    await verify(page);
  },
  quick: async (page) => {
    await choose(page, plain());
    await verify(page, { depth: "quick" });
  },
  damaged: async (page) => {
    await choose(page, damaged());
    await verify(page);
  },
  inspect: async (page) => {
    await choose(page, plain());
    await page.click("text=Look inside >> nth=1");
    await page.waitForFunction(() => !document.querySelector("#inspect")?.textContent?.match(/Reading…|Comparing…/));
    await page.waitForSelector("#inspect input[type=search] ~ ul li");
  },
  sample: async (page) => {
    await page.click("#sample");
    await page.click("text=Flip one byte");
    await page.waitForSelector("#status.warning");
  },
};

for (const [state, reach] of Object.entries(STATES)) {
  test(`the page is accessible to everyone when it is ${state}`, async () => {
    const { page, close } = await open("file", (page) => (state === "running" ? page.addInitScript(holdChecks(2)) : Promise.resolve()));
    await reach(page);
    // The page's own policy holds: only the debugger may add a script, and this one adds no styles that matter.
    await page.evaluate(AXE);
    for (const colorScheme of ["light", "dark"] as const) {
      for (const [width, height] of [[1200, 900], [360, 740]] as const) {
        // Without motion, so that no colour is caught on its way to another.
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.setViewportSize({ width, height });
        const { violations } = await page.evaluate("axe.run({ resultTypes: ['violations'] })") as { violations: Violation[] };
        const told = violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
        assert.equal(told.join("\n"), "", `${colorScheme}, ${width} wide`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${overflow} px too wide at ${width}`);
      }
    }
    await close();
    removeCopies();
  });
}

test("the page can be used by keyboard alone", async () => {
  const { page, close } = await open("file", (page) => page.addInitScript("Math.random = () => 0"));
  const tabTo = async (id: string): Promise<void> => {
    for (let steps = 0; steps < 50; steps++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((id) => document.activeElement?.matches(id), id)) return;
    }
    assert.fail(`${id} is not reached`);
  };
  await tabTo("#sample");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=Flip one byte");
  await tabTo("#status button");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#status.warning");
  assert.ok(await page.evaluate(() => document.activeElement?.textContent === "Flip one byte"), "the focus is not lost");
  await tabTo("input[name=scope]");
  await page.keyboard.press("ArrowUp");
  assert.ok(await page.isChecked("input[name=scope][value=all]"));
  await tabTo("#start");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#verdict[data-kind=damaged]:not([hidden])");
  await page.waitForSelector("body:not([data-running])");
  await tabTo(".packs button");
  await page.keyboard.press("ArrowRight");
  assert.match((await page.textContent(".about-pack"))!, /^packs\//);
  await tabTo("input[name=snapshot]");
  await page.keyboard.press("ArrowDown");
  assert.ok(await page.isChecked("input[name=scope][value=chosen]"));
  await tabTo("#timeline button");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#inspect .facts");
  await close();
});

test("a screen reader announces progress and the verdict", async () => {
  const { page, close } = await open("file");
  const live = (id: string) => page.locator(id).getAttribute("role");
  assert.deepEqual([await live("#status"), await live("#announcement")], ["status", "alert"]);
  await choose(page, plain());
  await verify(page);
  assert.match((await page.textContent("#announcement"))!, /^Intact: /);
  const { verdict } = await report(page);
  assert.equal(verdict, "intact");
  await close();
});

test("nothing moves for those who asked for less motion", async () => {
  const { page, close } = await open("file");
  const behaviour = () => page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  assert.equal(await behaviour(), "smooth");
  await page.emulateMedia({ reducedMotion: "reduce" });
  assert.equal(await behaviour(), "auto");
  const durations = await page.evaluate(() => [...document.querySelectorAll("*")].map((element) => getComputedStyle(element).transitionDuration));
  assert.deepEqual([...new Set(durations)], ["0s"]);
  await close();
});
