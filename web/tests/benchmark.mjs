// Compares the page with the program on one repository: node tests/benchmark.mjs REPOSITORY
// Prints MB/s of stored bytes of both, and the memory of the page's process at its highest.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { chromium } from "playwright-core";

const [repo] = process.argv.slice(2);
if (!repo) throw new Error("usage: node tests/benchmark.mjs REPOSITORY");
const program = process.env.MSGVAULT_VERIFY ?? resolve("../target/release/msgvault-verify");

const began = performance.now();
const stated = JSON.parse(execFileSync(program, [repo, "--all", "--json"], { encoding: "utf8", maxBuffer: 1 << 30 }));
const native = (performance.now() - began) / 1000;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
await page.goto(`file://${resolve("dist/msgvault-verify.html")}`);
await page.waitForSelector("body[data-ready]");
await page.setInputFiles("#input", repo);
await page.waitForSelector("#repository:not([hidden])", { timeout: 120_000 });
await page.check("input[name=scope][value=all]");
let highest = 0;
const watch = setInterval(() => (highest = Math.max(highest, rendererBytes())), 250);
const start = performance.now();
await page.click("#start");
await page.waitForSelector("#verdict:not([hidden])", { timeout: 1_200_000 });
const inPage = (performance.now() - start) / 1000;
clearInterval(watch);
const verdict = await page.getAttribute("#verdict", "data-kind");
const workers = await page.evaluate("navigator.hardwareConcurrency");
await browser.close();

const bytes = stated.totals.bytes_read;
const rate = (seconds) => `${(bytes / 1e6 / seconds).toFixed(0)} MB/s (${seconds.toFixed(1)} s)`;
console.log(`stored bytes read    ${(bytes / 1e6).toFixed(0)} MB, ${stated.totals.packs} packs, ${workers} cores`);
console.log(`msgvault-verify      ${rate(native)}, ${stated.verdict}`);
console.log(`page                 ${rate(inPage)}, ${verdict}: ${((100 * native) / inPage).toFixed(0)} % of the program`);
console.log(`page's process       ${(highest / 1e6).toFixed(0)} MB at most`);

/** Resident bytes of the largest renderer that belongs to this browser. */
function rendererBytes() {
  const parents = new Map();
  const sizes = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      parents.set(Number(pid), Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]));
      const isRenderer = readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--type=renderer");
      if (isRenderer) sizes.set(Number(pid), 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It ended meanwhile.
    }
  }
  const isOurs = (pid) => pid > 1 && (pid === process.pid || isOurs(parents.get(pid) ?? 0));
  return Math.max(0, ...[...sizes].filter(([pid]) => isOurs(pid)).map(([, size]) => size));
}
