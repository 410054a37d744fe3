// Takes the pictures in docs/screenshots: light and dark, desk and phone. Run by hand, after build.sh.

import { mkdirSync, cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const OUTPUT = resolve("../docs/screenshots");
const SIZES = { desk: { width: 1200, height: 900 }, phone: { width: 390, height: 844 } };
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
mkdirSync(OUTPUT, { recursive: true });

const folder = mkdtempSync(join(tmpdir(), "msgvault-pictures-"));
const repo = join(folder, "mail-backup");
cpSync("../tests/fixtures/chain/repo", repo, { recursive: true });
const damaged = join(folder, "mail-backup-on-usb");
cpSync("../tests/fixtures/chain/repo", damaged, { recursive: true });
const packs = readdirSync(join(damaged, "packs"), { recursive: true }).filter((name) => name.endsWith(".mvpack")).sort();
rmSync(join(damaged, "packs", packs[4]));
const flipped = join(damaged, "packs", packs[20]);
const bytes = readFileSync(flipped);
bytes[20] ^= 1;
writeFileSync(flipped, bytes);

/** Lets half of the packs through, so that the picture shows a run in progress. */
const hold = `{
  const post = Worker.prototype.postMessage;
  let left = 21;
  Worker.prototype.postMessage = function (message, ...rest) {
    if (message.call === "check" && left-- <= 0) setTimeout(() => (document.body.dataset.held = "true"), 100);
    else post.call(this, message, ...rest);
  };
}`;

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    const picture = async (name, script, act) => {
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce", locale: "en-GB" });
      const page = await context.newPage();
      await page.clock.setFixedTime(new Date("2026-11-24T09:00:00Z"));
      if (script) await page.addInitScript(script);
      await page.goto(`file://${resolve("dist/msgvault-verify.html")}`);
      await page.waitForSelector("body[data-ready]");
      await act(page);
      await page.screenshot({ path: join(OUTPUT, `${name}-${size}-${colorScheme}.png`) });
      await context.close();
    };
    const open = async (page, path) => {
      await page.setInputFiles("#input", path);
      await page.waitForSelector("#repository:not([hidden])");
      await page.check("input[name=scope][value=all]");
    };
    const verify = async (page) => {
      await page.click("#verify button[type=submit]");
      await page.waitForSelector("#verdict:not([hidden])");
      await page.evaluate(() => scrollTo(0, 0));
    };
    await picture("empty", undefined, async () => {});
    await picture("running", hold, async (page) => {
      await open(page, repo);
      await page.click("#verify button[type=submit]");
      await page.waitForSelector("body[data-held]");
    });
    await picture("clean", undefined, async (page) => {
      await open(page, repo);
      await verify(page);
    });
    await picture("damaged", undefined, async (page) => {
      await open(page, damaged);
      await verify(page);
    });
    await picture("inspect", undefined, async (page) => {
      await open(page, resolve("../tests/fixtures/plain/repo"));
      await page.click("#timeline button >> nth=1");
      await page.waitForFunction(() => !document.querySelector("#inspect")?.textContent?.match(/Reading…|Comparing…/));
      await page.evaluate(() => document.querySelector("#inspect").scrollIntoView());
    });
  }
}
rmSync(folder, { recursive: true });
await browser.close();
