// What the page's Workers spend their time on, from the samples that the browser takes.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Which part a function belongs to; the first match counts. The glue has no names, and is known by what it calls. */
const PARTS = [
  ["waiting for work", /^\((idle|program|root)\)$/],
  ["collecting garbage", /^\(garbage collector\)$/],
  ["reading", /readAsArrayBuffer|FileReaderSync/],
  ["hashing blobs", /\.digest\(|^digest$/],
  ["hashing pages and small blobs", /four_at_once|sha2|sha256/],
  ["decompressing", /ruzstd|twox_hash/],
  ["checksums", /crc32c/],
];

/** A page with the names of functions in its verifier, which are left out of the page that people get. */
export function withNames(html) {
  const script = `set -eu; . ./toolchain.sh; find_wasm_std; find_wasm_bindgen
    "$WASM_BINDGEN" --target no-modules --out-dir out/named --out-name verifier "$(target_dir)/$WASM_TARGET/release/msgvault_web.wasm"`;
  execFileSync("sh", ["-c", script], { stdio: ["ignore", "ignore", "inherit"] });
  const verifier = gzipSync(readFileSync("out/named/verifier_bg.wasm")).toString("base64");
  return html.replace(/(<script [^>]*id="verifier">)[^<]*/, (_, tag) => tag + verifier);
}

/** Seconds by part, all Workers together. */
export function split(trace, html) {
  const lines = /<script>([^]*?)<\/script>/.exec(html)[1].split("\n");
  const text = ({ functionName, lineNumber, columnNumber, url }) =>
    functionName || !url?.startsWith("blob:") ? functionName : (lines[lineNumber]?.slice(columnNumber, columnNumber + 100) ?? "");
  const profiles = new Map();
  for (const { name, pid, id, args } of JSON.parse(trace.toString()).traceEvents) {
    if (name !== "ProfileChunk") continue;
    const profile = profiles.get(`${pid} ${id}`) ?? { nodes: new Map(), seconds: new Map(), isWorker: false };
    profiles.set(`${pid} ${id}`, profile);
    const { cpuProfile, timeDeltas = [] } = args.data;
    for (const { id, callFrame } of cpuProfile?.nodes ?? []) {
      profile.isWorker ||= callFrame.url?.startsWith("blob:") ?? false;
      const what = text(callFrame);
      profile.nodes.set(id, PARTS.find(([, pattern]) => pattern.test(what))?.[0] ?? "everything else");
    }
    for (const [at, node] of (cpuProfile?.samples ?? []).entries()) {
      const part = profile.nodes.get(node) ?? "everything else";
      profile.seconds.set(part, (profile.seconds.get(part) ?? 0) + timeDeltas[at] / 1e6);
    }
  }
  const seconds = new Map();
  for (const profile of [...profiles.values()].filter(({ isWorker }) => isWorker)) {
    for (const [part, spent] of profile.seconds) seconds.set(part, (seconds.get(part) ?? 0) + spent);
  }
  seconds.delete("waiting for work");
  return [...seconds].sort(([, one], [, other]) => other - one);
}
