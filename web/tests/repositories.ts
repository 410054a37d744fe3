// Repositories to test with: the fixtures, and copies of them that were damaged in one way each.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { Report } from "../page/messages.ts";

const OWN = resolve("../tests/fixtures");
/** The environment variable that names a folder with more repositories, at any depth. */
const VARIABLE = "MSGVAULT_FIXTURES";
const PROGRAM = process.env["MSGVAULT_VERIFY"] ?? resolve("../target/debug/msgvault-verify");

export interface Fixture {
  /** `fixtures/plain` for one of the project, else its path below the folder that was named. */
  name: string;
  repo: string;
  expected: string;
}

/** All repositories to test with: the project's own, then the others. */
export function fixtures(): Fixture[] {
  const [ours, more] = [own(), others()];
  // A run says what it tested with.
  if (!told) console.log(`page tested with ${ours.length} repositories of the project, ${more.length} of ${VARIABLE}`);
  told = true;
  return [...ours, ...more];
}
let told = false;

/** The project's own repositories. */
export function own(): Fixture[] {
  const found = below(OWN, "fixtures");
  if (found.length === 0) throw new Error(`The project's own repositories are missing in ${OWN}.`);
  return found;
}

/** The repositories that the environment variable adds; a copy of one of the project's own is left out. */
export function others(): Fixture[] {
  const folder = process.env[VARIABLE];
  if (folder === undefined) return [];
  if (!isAbsolute(folder)) throw new Error(`${VARIABLE}: ${JSON.stringify(folder)} is not an absolute path.`);
  const found = below(folder, "");
  if (found.length === 0) throw new Error(`${VARIABLE}: ${folder} holds no repositories (folders with repo/ and expected/).`);
  const known = own().map(snapshotsOf);
  return found.filter((fixture) => !known.includes(snapshotsOf(fixture)));
}

/** The repositories below a folder, sorted by name. */
function below(folder: string, name: string): Fixture[] {
  if (existsSync(join(folder, "repo", "config.toml"))) return [{ name, repo: join(folder, "repo"), expected: join(folder, "expected") }];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
    .flatMap((last) => below(join(folder, last), name === "" ? last : `${name}/${last}`));
}

const snapshotsOf = ({ expected }: Fixture): string => readFileSync(join(expected, "snapshots.txt"), "utf8");

export const plain = (): string => join(OWN, "plain/repo");

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
