// The verdict, first and in one sentence; then what was not checked.

import type { VerificationOutcome, Report } from "../messages.ts";
import { count, shown } from "../words.ts";
import { type Content, button, copyButton, fill, h } from "./dom.ts";
import { saveText } from "../save.ts";

/** One of three, and never of two. */
type Kind = "intact" | "damaged" | "unchecked";

const SIGNS: { [kind in Kind]: string } = { intact: "✓", damaged: "✕", unchecked: "–" };
/** Blobs that were not checked and are named. */
const SHOWN = 20;

export interface Verified {
  outcome: VerificationOutcome;
  /** When it ended. */
  time: string;
  /** The command that does the same. */
  command: string;
  /** Snapshots that the repository has. */
  snapshots: number;
  /** Packs that were to be read, and how many of them were not. */
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
    h("p", { class: "actions" },
      button("Save report (JSON)", () => saveText("msgvault-verify.json", json())),
      copyButton("Copy report (text)", text)),
    h("p", { class: "command" }, "The same on the command line: ", h("code", {}, verified.command)),
  );
}

/** Nothing to check is nothing wrong for a program that goes through a list, and no good news for a person. */
const nothingToCheck = ({ verdict, snapshots }: Report): boolean => verdict === "intact" && snapshots.length === 0;

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
  for (const item of report.not_checked.slice(0, SHOWN)) left.push(`${shown(item.file)}, blob ${item.blob}: ${shown(item.detail)}`);
  if (report.not_checked.length > SHOWN) left.push(`${count(report.not_checked.length - SHOWN, "more blob")}.`);
  if (left.length === 0) return [];
  return [h("div", { class: "left-out" }, h("h3", {}, "What was not checked"), h("ul", {}, ...left.map((text) => h("li", {}, text))))];
}
