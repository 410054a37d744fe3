// What is wrong, by the file to fetch from another copy.

import type { Problem, Report } from "../messages.ts";
import { bytes, count, meaning, shown } from "../words.ts";
import { copyButton, fill, h } from "./dom.ts";

/** How many files are shown. */
const FILES = 100;
/** How many problems of one file are shown. */
const SHOWN = 20;
/** How many snapshots are named, the newest first. */
const NAMED = 2;

/** What was found of the repository's files. */
export interface Found {
  /** The size of a file in bytes, or that the browser did not open it; nothing when it is not there. */
  bytes(file: string): number | "refused" | undefined;
  /** How many blobs a pack holds, according to the index; nothing when no index names the pack. */
  blobs(file: string): number | undefined;
}

export function drawProblems(into: HTMLElement, report: Report, found: Found): void {
  into.hidden = report.problems.length === 0;
  const groups = new Map<string, Problem[]>();
  for (const problem of report.problems) {
    const file = problem.file ?? "";
    const group = groups.get(file);
    if (group) group.push(problem);
    else groups.set(file, [problem]);
  }
  fill(
    into,
    h("h2", {}, "What is wrong"),
    h("p", {}, "Each file below can be fetched from another copy of this repository, where it is intact. Put it at the same path and verify again."),
    ...[...groups].slice(0, FILES).map(([file, problems]) => drawGroup(file, problems, found)),
    groups.size > FILES && h("p", {}, `${count(groups.size - FILES, "more file")} in the report.`),
  );
}

function drawGroup(file: string, problems: Problem[], found: Found): HTMLElement {
  const snapshots = new Set(problems.map((problem) => problem.snapshot).filter((id) => id !== null));
  const codes = [...new Set(problems.map((problem) => problem.code))];
  const title = file === ""
    ? h("h3", {}, "An index file that is not here")
    : h("h3", {}, h("code", { class: "path" }, shown(file)), copyButton("Copy path", () => file));
  return h(
    "article",
    { class: "problem-group" },
    title,
    h("p", { class: "found" }, file === ""
      ? "Expected: an index file in indexes/ that names these blobs. Found: none does."
      : `Expected: ${expected(file, found)}. Found: ${actual(file, found)}.`),
    ...codes.map((code) => h("p", { class: "code" }, h("code", {}, code), " ", meaning(code))),
    snapshots.size > 0 && h("p", {}, `Needed by ${count(snapshots.size, "snapshot")}: `,
      ...[...snapshots].slice(-NAMED).reverse().map((id) => h("code", { class: "snapshot" }, id)),
      snapshots.size > NAMED && `and ${snapshots.size - NAMED} before`),
    h("details", { open: problems.length <= 3 },
      h("summary", {}, count(problems.length, "problem")),
      h("ul", {}, ...problems.slice(0, SHOWN).map(drawProblem)),
      problems.length > SHOWN && h("p", {}, `${problems.length - SHOWN} more are in the report.`)),
  );
}

function expected(file: string, found: Found): string {
  const blobs = found.blobs(file);
  if (blobs !== undefined) return `a pack with ${count(blobs, "blob")}`;
  if (file.startsWith("indexes/")) return "an index file";
  if (!file.startsWith("snapshots/")) return "a folder that can be read";
  return /^snapshots\/\d{8}T\d{6}Z-[0-9a-f]{32}\.mvmanifest$/.test(file) ? "a manifest whose content has this ID" : "no file of this name";
}

function actual(file: string, found: Found): string {
  const size = found.bytes(file);
  if (size === undefined) return "no such file";
  if (size === "refused") return "a file that the browser could not open";
  return `a file of ${count(size, "byte")}${size < 1024 ? "" : ` (${bytes(size)})`}`;
}

function drawProblem(problem: Problem): HTMLElement {
  return h(
    "li",
    {},
    shown(problem.detail),
    problem.blob !== null && h("span", { class: "blob" }, " blob ", h("code", {}, problem.blob)),
    problem.snapshot !== null && h("span", { class: "blob" }, " snapshot ", h("code", {}, problem.snapshot)),
  );
}
