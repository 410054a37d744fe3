// The verdict, first and in one sentence; then what was not checked; then what is wrong, by file to fetch.

import type { Outcome, PackRow, Problem, Report } from "../messages.ts";
import { bytes, count, meaning, shown } from "../words.ts";
import { type Content, button, copyButton, fill, h } from "./dom.ts";
import { saveText } from "../save.ts";

/** One of three, and never of two. */
type Kind = "intact" | "damaged" | "unchecked";

const SIGNS: { [kind in Kind]: string } = { intact: "✓", damaged: "✕", unchecked: "–" };
/** Problems of one file that are shown at once. */
const SHOWN = 20;
/** Snapshots that are named, the newest first. */
const NAMED = 2;

export interface Verified {
  outcome: Outcome;
  /** When it ended. */
  time: string;
  /** The command that does the same. */
  command: string;
  /** Snapshots that the repository has. */
  snapshots: number;
  /** Packs that were to be read, and how many of them were not. */
  unread: { packs: number; of: number };
  packs: PackRow[];
}

export function drawVerdict(into: HTMLElement, problemsInto: HTMLElement, verified: Verified): void {
  const { outcome, time } = verified;
  const { report } = outcome;
  const [kind, title] = headline(report);
  const json = () => JSON.stringify({ ...report, verified_at: time }, null, 2);
  const text = () => `${outcome.text}\n\nmsgvault-verify ${report.version}, in a browser, ${time}\nrepository ${report.repo_id}\n`;
  into.dataset["kind"] = kind;
  fill(
    into,
    h("h2", {}, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]), title),
    h("p", { class: "sentence" }, outcome.summary),
    ...leftOut(verified),
    h("p", { class: "actions" },
      button("Save report (JSON)", () => saveText("msgvault-verify.json", json())),
      copyButton("Copy report (text)", text)),
    h("p", { class: "command" }, "The same on the command line: ", h("code", {}, verified.command)),
  );
  drawProblems(problemsInto, report, verified.packs);
}

function headline(report: Report): [Kind, string] {
  if (report.verdict === "damaged") return ["damaged", "Damaged"];
  if (report.verdict === "unchecked") return ["unchecked", "Could not be checked to the end"];
  if (report.depth === "quick") return ["unchecked", "Not verified: content was not read"];
  return ["intact", "Intact"];
}

function leftOut({ outcome: { report }, snapshots, unread }: Verified): Content[] {
  const left: string[] = [];
  if (report.depth === "quick") left.push("The content of packs: a quick check only finds out whether every reference resolves.");
  if (unread.packs > 0) left.push(`${count(unread.packs, "pack")} of ${unread.of}: they were not read to the end.`);
  if (!report.all && snapshots > 1) left.push(`The other ${count(snapshots - 1, "snapshot")}: only one was asked for.`);
  for (const item of report.not_checked.slice(0, SHOWN)) left.push(`${shown(item.file)}, blob ${item.blob}: ${shown(item.detail)}`);
  if (report.not_checked.length > SHOWN) left.push(`${count(report.not_checked.length - SHOWN, "more blob")}.`);
  if (left.length === 0) return [];
  return [h("div", { class: "left-out" }, h("h3", {}, "What was not checked"), h("ul", {}, ...left.map((text) => h("li", {}, text))))];
}

function drawProblems(into: HTMLElement, report: Report, packs: PackRow[]): void {
  into.hidden = report.problems.length === 0;
  const groups = new Map<string, Problem[]>();
  for (const problem of report.problems) {
    const file = fileOf(problem);
    groups.set(file, [...(groups.get(file) ?? []), problem]);
  }
  const sizes = new Map(packs.map((pack) => [pack.file, pack]));
  fill(
    into,
    h("h2", {}, "What is wrong"),
    h("p", {}, "Each file below can be fetched from another copy of this repository, where it is intact. Put it at the same path and verify again."),
    ...[...groups].map(([file, problems]) => drawGroup(file, problems, sizes.get(file))),
  );
}

function fileOf(problem: Problem): string {
  return problem.file ?? "";
}

function drawGroup(file: string, problems: Problem[], pack: PackRow | undefined): HTMLElement {
  const snapshots = new Set(problems.map((problem) => problem.snapshot).filter((id) => id !== null));
  const codes = [...new Set(problems.map((problem) => problem.code))];
  const title = file === ""
    ? h("h3", {}, "An index file that is not here")
    : h("h3", {}, h("code", { class: "path" }, shown(file)), copyButton("Copy path", () => file));
  return h(
    "article",
    { class: "problem-group" },
    title,
    h("p", { class: "found" }, expectation(file, pack)),
    ...codes.map((code) => h("p", { class: "code" }, h("code", {}, code), " ", meaning(code))),
    snapshots.size > 0 && h("p", {}, `Needed by ${count(snapshots.size, "snapshot")}: `, h("code", {}, [...snapshots].slice(-NAMED).reverse().join(", ")), snapshots.size > NAMED && ` and ${snapshots.size - NAMED} before`),
    h("details", { open: problems.length <= 3 },
      h("summary", {}, count(problems.length, "problem")),
      h("ul", {}, ...problems.slice(0, SHOWN).map(drawProblem)),
      problems.length > SHOWN && h("p", {}, `${problems.length - SHOWN} more are in the report.`)),
  );
}

function expectation(file: string, pack: PackRow | undefined): string {
  if (file === "") return "Expected: an index file in indexes/ that names these blobs. Found: none does.";
  if (!pack) return `Expected: ${kindOf(file)} with this name and its own content. Found: see below.`;
  const found = pack.bytes === null ? "no such file" : `a file of ${bytes(pack.bytes)} (${pack.bytes.toLocaleString("en")} bytes)`;
  return `Expected: a pack with ${count(pack.blobs, "blob")}. Found: ${found}.`;
}

function kindOf(file: string): string {
  if (file.startsWith("snapshots/")) return "a manifest";
  return file.startsWith("indexes/") ? "an index file" : "a file";
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
