// Joins page, style, script and compiled verifier into one file.
// Run by build.sh, which makes pkg/ first.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const OUTPUT = "dist/msgvault-verify.html";
const MAX_BYTES = 1_500_000;
const SAMPLE = "../tests/fixtures/plain/repo";

const glue = readFileSync("pkg/verifier.js", "utf8");
const bundle = await build({
  entryPoints: ["page/main.ts"],
  bundle: true,
  write: false,
  format: "iife",
  target: ["es2022", "chrome103", "firefox113", "safari16.4"],
  charset: "utf8",
});
const joined = await transform(`${glue}\n${bundle.outputFiles[0].text}`, { minify: true, charset: "utf8" });
const script = joined.code.trim();
const style = (await transform(readFileSync("page/style.css", "utf8"), { loader: "css", minify: true })).code.trim();
if (/<\/script|<!--/i.test(script)) throw new Error("the script would end before its end");

const policy = [
  "default-src 'none'",
  `script-src '${hash(script)}' 'wasm-unsafe-eval'`,
  "worker-src blob:",
  `style-src '${hash(style)}'`,
  "img-src data:",
  "connect-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");
const parts = {
  policy,
  style,
  script,
  verifier: compressed(readFileSync("pkg/verifier_bg.wasm")),
  sample: compressed(sample()),
};
const template = readFileSync("page/index.html", "utf8");
const page = template.replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
if (page.length > MAX_BYTES) throw new Error(`${OUTPUT} has ${page.length} bytes, more than ${MAX_BYTES}`);
mkdirSync("dist", { recursive: true });
writeFileSync(OUTPUT, page);
console.log(`web/${OUTPUT}: ${page.length} bytes`);

function hash(text) {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

function compressed(bytes) {
  return gzipSync(bytes, { level: 9 }).toString("base64");
}

/** The sample repository: the length of a header, the header (paths and lengths), and the bytes of all files. */
function sample() {
  const paths = readdirSync(SAMPLE, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== ".gitkeep")
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  const files = paths.map((path) => [path.slice(join(SAMPLE, "/").length), readFileSync(path)]);
  const head = Buffer.from(JSON.stringify(files.map(([path, bytes]) => [path, bytes.length])));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return Buffer.concat([length, head, ...files.map(([, bytes]) => bytes)]);
}
