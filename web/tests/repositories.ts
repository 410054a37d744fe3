// Repositories to test with: the fixtures, and copies of them that were damaged in one way each.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Report } from "../page/messages.ts";

const ROOTS = ["../tests/fixtures", "../../shared/fixtures/minimal", "../../shared/fixtures/full"];
const PROGRAM = process.env["MSGVAULT_VERIFY"] ?? resolve("../target/debug/msgvault-verify");

export interface Fixture {
  name: string;
  repo: string;
  expected: string;
}

/** Every fixture that is there. */
export function fixtures(): Fixture[] {
  const found = ROOTS.filter((root) => existsSync(root) || void console.log(`skipped: ${root} is not here`));
  return found.flatMap((root) =>
    readdirSync(root)
      .filter((name) => existsSync(join(root, name, "repo")))
      .map((name) => ({ name: `${root.split("/").at(-1)}/${name}`, repo: resolve(root, name, "repo"), expected: resolve(root, name, "expected") })),
  );
}

export const plain = (): string => resolve("../tests/fixtures/plain/repo");

const made: string[] = [];

/** A copy of a repository that may be changed. */
export function copy(repo: string, name = "repo"): string {
  const folder = mkdtempSync(join(tmpdir(), "msgvault-page-"));
  made.push(folder);
  const target = join(folder, name);
  cpSync(repo, target, { recursive: true });
  execFileSync("chmod", ["-R", "u+w", target]);
  return target;
}

export function removeCopies(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** The files of a repository below a folder, sorted. */
export function filesOf(repo: string, folder: string): string[] {
  return readdirSync(join(repo, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== ".gitkeep")
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

export function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  const index = at < 0 ? bytes.length + at : at;
  bytes[index] = (bytes[index] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

export interface Damage {
  name: string;
  /** Damages a copy. */
  apply(repo: string): void;
}

const first = (files: string[]): string => files[0]!;
const last = (files: string[]): string => files.at(-1)!;

/** Ways in which a copy can be damaged: what, where and how. */
export const DAMAGES: Damage[] = [
  { name: "a byte of a blob flipped", apply: (repo) => flip(first(filesOf(repo, "packs")), 10) },
  { name: "a byte of a footer flipped", apply: (repo) => flip(last(filesOf(repo, "packs")), -50) },
  { name: "a byte of a header flipped", apply: (repo) => flip(first(filesOf(repo, "packs")), 0) },
  { name: "a pack cut short", apply: (repo) => truncateSync(first(filesOf(repo, "packs")), 20) },
  { name: "an empty pack", apply: (repo) => truncateSync(last(filesOf(repo, "packs")), 0) },
  { name: "a pack gone", apply: (repo) => rmSync(first(filesOf(repo, "packs"))) },
  { name: "all packs gone", apply: (repo) => filesOf(repo, "packs").forEach((file) => rmSync(file)) },
  { name: "two packs exchanged", apply: exchange },
  { name: "an index flipped", apply: (repo) => flip(first(filesOf(repo, "indexes")), 30) },
  { name: "an index gone", apply: (repo) => rmSync(first(filesOf(repo, "indexes"))) },
  { name: "a manifest flipped", apply: (repo) => flip(first(filesOf(repo, "snapshots")), 400) },
  { name: "the first manifest gone", apply: (repo) => rmSync(first(filesOf(repo, "snapshots"))) },
  { name: "a manifest misnamed", apply: (repo) => writeFileSync(join(repo, "snapshots", "nightly.mvmanifest"), "{}") },
];

function exchange(repo: string): void {
  const packs = filesOf(repo, "packs");
  const [one, other] = [first(packs), last(packs)];
  renameSync(one, `${one}.kept`);
  renameSync(other, one);
  renameSync(`${one}.kept`, other);
}

/** What the program says about a repository. */
export function fromProgram(repo: string, ...options: string[]): Report {
  try {
    return JSON.parse(execFileSync(PROGRAM, [repo, "--json", ...options], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }));
  } catch (error) {
    // Problems have an exit code of their own; the report is printed all the same.
    return JSON.parse((error as { stdout: string }).stdout);
  }
}

/** What the program says for people. */
export function textFromProgram(repo: string, ...options: string[]): string {
  try {
    return execFileSync(PROGRAM, [repo, "--color", "never", ...options], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}
