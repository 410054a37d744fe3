// The verdict, first and in one sentence; then what was not checked.

import type { ForeignFile, NotChecked, Report, VerificationOutcome } from "../messages.ts";
import { count, shown } from "../words.ts";
import { type Content, button, copyButton, fill, h } from "./dom.ts";
import { saveText } from "../save.ts";

/** One of three: what is not damaged need not be intact. */
type Kind = "intact" | "damaged" | "unchecked";

const SIGNS: { [kind in Kind]: string } = { intact: "✓", damaged: "✕", unchecked: "–" };
/** How many entries of a list are named. */
const SHOWN = 20;

export interface Verified {
  outcome: VerificationOutcome;
  /** When it ended. */
  time: string;
  /** The command that does the same. */
  command: string;
  /** How many snapshots the repository has. */
  snapshots: number;
  /** How many packs were to be read, and how many of them were not. */
  unread: { packs: number; of: number };
}

export function drawVerdict(into: HTMLElement, verified: Verified): void {
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
    ...foreign(report.foreign),
    h("p", { class: "actions" },
      button("Save report (JSON)", () => saveText("msgvault-verify.json", json())),
      copyButton("Copy report (text)", text)),
    h("p", { class: "command" }, "The same on the command line: ", h("code", {}, verified.command)),
  );
}

/** Nothing is wrong where no snapshot is, and that is not good news. */
const nothingToCheck = ({ verdict, complete, snapshots }: Report): boolean =>
  verdict === "unchecked" && complete && snapshots.length === 0;

function headline(report: Report): [Kind, string] {
  if (nothingToCheck(report)) return ["unchecked", "No snapshot to check"];
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
  const alike = groupAlike(report.not_checked);
  left.push(...alike.slice(0, SHOWN).map(describe));
  if (alike.length > SHOWN) left.push(`${count(alike.length - SHOWN, "more entry", "more entries")} in the report.`);
  if (left.length === 0) return [];
  return [h("div", { class: "left-out" }, h("h3", {}, "What was not checked"), h("ul", {}, ...left.map((text) => h("li", {}, text))))];
}

/** What lies among the repository's files and is not its own. */
function foreign(files: ForeignFile[]): Content[] {
  if (files.length === 0) return [];
  const told = files.slice(0, SHOWN).map(({ file, detail }) => `${shown(file)}: ${shown(detail)}`);
  if (files.length > SHOWN) told.push(`${count(files.length - SHOWN, "more file")} in the report.`);
  const title = `Not part of the repository: ${count(files.length, "file")}, no problem`;
  return [h("details", { class: "foreign" }, h("summary", {}, title), h("ul", {}, ...told.map((text) => h("li", {}, text))))];
}

/** Entries of one file for one reason: what happened to a file happened to every blob in it. */
function groupAlike(entries: NotChecked[]): NotChecked[][] {
  const groups = new Map<string, NotChecked[]>();
  for (const entry of entries) {
    const key = `${entry.file}\n${entry.detail}`;
    const group = groups.get(key);
    if (group) group.push(entry);
    else groups.set(key, [entry]);
  }
  return [...groups.values()];
}

function describe(alike: NotChecked[]): string {
  const [{ file, detail }] = alike as [NotChecked];
  const blobs = new Set(alike.map(({ blob }) => blob).filter((blob) => blob !== null));
  const [blob] = blobs;
  const about = blob === undefined ? "" : blobs.size === 1 ? `, blob ${blob}` : `, ${count(blobs.size, "blob")}`;
  return `${shown(file)}${about}: ${shown(detail)}`;
}
