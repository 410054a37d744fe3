// Compares the page with the program on one repository: wall and processor time, memory, and where the page's time goes.
//   node tests/benchmark.mjs REPOSITORY [--page FILE] [--insecure] [--runs N] [--no-split]
// --page takes a page that was built differently; --insecure opens it as if served by a host without encryption,
// where browsers have no `crypto.subtle` and WebAssembly computes every hash. Program and page take turns; the best run
// of each counts.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { childSeconds, rendererBytes, secondsByThread } from "./processes.mjs";
import { split, withNames } from "./split.mjs";

const { values: options, positionals: [repo] } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    page: { type: "string", default: "dist/msgvault-verify.html" },
    insecure: { type: "boolean", default: false },
    runs: { type: "string", default: "3" },
    split: { type: "boolean", default: true },
  },
});
if (!repo) throw new Error("usage: node tests/benchmark.mjs REPOSITORY [--page FILE] [--insecure] [--runs N] [--no-split]");
const program = process.env.MSGVAULT_VERIFY ?? resolve("../target/release/msgvault-verify");
const jobs = String(availableParallelism());

const html = readFileSync(options.page, "utf8");
const runs = [];
for (let run = 0; run < Number(options.runs); run++) runs.push({ program: runProgram(), page: await runPage() });
const best = (who, value) => Math.min(...runs.map((run) => value(run[who])));
const { totals, verdict } = runs[0].program.report;
const rate = (seconds) => `${seconds.toFixed(1)} s = ${(totals.bytes_read / 1e6 / seconds).toFixed(0)} MB/s`;
const compare = (what, value) => {
  const [native, page] = [best("program", value), best("page", value)];
  console.log(`${what.padEnd(18)} program ${rate(native)}, page ${rate(page)}: ${((100 * native) / page).toFixed(0)} %`);
};
console.log(`${(totals.bytes_read / 1e6).toFixed(0)} MB stored in ${totals.packs} packs, ${jobs} cores, best of ${runs.length}`);
console.log(`verdict            program ${verdict}, page ${[...new Set(runs.map(({ page }) => page.verdict))]}`);
console.log(`blobs hashed by    ${runs[0].page.hasSubtle ? "crypto.subtle, the smallest and the largest by WebAssembly" : "WebAssembly"}`);
compare("wall time", (run) => run.wall);
compare("processor time", (run) => run.cpu);
console.log(`page's process     ${(Math.max(...runs.map(({ page }) => page.bytes)) / 1e6).toFixed(0)} MB at most`);
console.log("page's processor time by thread");
const thrifty = runs.reduce((one, other) => (other.page.cpu < one.page.cpu ? other : one)).page;
for (const [thread, seconds] of thrifty.threads) console.log(`  ${seconds.toFixed(2).padStart(6)} s  ${thread}`);
if (options.split) {
  const named = withNames(html);
  const parts = split((await runPage(named)).trace, named);
  const sum = parts.reduce((sum, [, seconds]) => sum + seconds, 0);
  console.log("what the page's Workers do, sampled in a separate run");
  for (const [part, seconds] of parts) {
    console.log(`  ${seconds.toFixed(2).padStart(6)} s  ${((100 * seconds) / sum).toFixed(0).padStart(3)} %  ${part}`);
  }
}

function runProgram() {
  const [began, before] = [performance.now(), childSeconds()];
  const { stdout, error } = spawnSync(program, [repo, "--all", "--json", "--jobs", jobs], { encoding: "utf8", maxBuffer: 1 << 30 });
  if (error) throw error;
  return { wall: (performance.now() - began) / 1000, cpu: childSeconds() - before, report: JSON.parse(stdout) };
}

/** Verifies in the page; a page that is `traced` is sampled, which slows it down. */
async function runPage(traced) {
  const server = createServer((_, response) => {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(traced ?? html);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const host = options.insecure ? "elsewhere.test" : "127.0.0.1";
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--host-resolver-rules=MAP elsewhere.test 127.0.0.1"],
  });
  const page = await browser.newPage();
  await page.goto(`http://${host}:${server.address().port}/`);
  await page.waitForSelector("body[data-ready]");
  await page.setInputFiles("#input", repo);
  await page.waitForSelector("#repository:not([hidden])", { timeout: 120_000 });
  await page.check("input[name=scope][value=all]");
  let bytes = 0;
  const watch = setInterval(() => (bytes = Math.max(bytes, rendererBytes())), 100);
  if (traced) await browser.startTracing(page, { categories: ["disabled-by-default-v8.cpu_profiler"] });
  const before = secondsByThread();
  const wall = await page.evaluate(verify);
  const threads = [...secondsByThread()]
    .map(([thread, seconds]) => [thread, seconds - (before.get(thread) ?? 0)])
    .filter(([, seconds]) => seconds >= 0.01)
    .sort(([, one], [, other]) => other - one);
  const cpu = threads.reduce((sum, [, seconds]) => sum + seconds, 0);
  clearInterval(watch);
  const trace = traced ? await browser.stopTracing() : undefined;
  const verdict = await page.getAttribute("#verdict", "data-kind");
  const hasSubtle = await page.evaluate("isSecureContext");
  await browser.close();
  server.close();
  return { wall, cpu, bytes, threads, verdict, hasSubtle, trace };
}

/** Seconds from the click to the verdict, as somebody at the page sees them. */
function verify() {
  const began = performance.now();
  const verdict = document.getElementById("verdict");
  return new Promise((done) => {
    const look = () => verdict.hidden || done((performance.now() - began) / 1000);
    new MutationObserver(look).observe(verdict, { attributes: true });
    document.getElementById("start").click();
  });
}
