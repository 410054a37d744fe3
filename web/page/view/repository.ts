// A repository at a glance: which one it is, what is already known to be wrong, and its snapshots on a time line.

import type { Lock, RepositoryView, SnapshotSummary } from "../messages.ts";
import { bytes, count, duration, messagesIn, secondsSince, shown, when } from "../words.ts";
import { type Content, button, facts, fill, h } from "./dom.ts";

/** A latest snapshot that is older than this is worth a warning, in seconds. */
const OLD = 7 * 24 * 3600;
/** A lock that is older than this was left behind, in seconds (docs/format.md §11). */
const STALE = 30 * 60;
/** How many of the snapshots that cannot be read are named. */
const NAMED = 20;

export function drawRepository(into: HTMLElement, name: string, { overview, packs }: RepositoryView): void {
  const latest = overview.snapshots.at(-1);
  const age = latest && secondsSince(latest.created_at, Date.now());
  fill(
    into,
    h("h2", {}, "Repository ", h("span", { class: "name" }, shown(name))),
    ...notices({ overview, packs }, age),
    facts([
      ["Identity", h("code", {}, overview.repo_id)],
      ["Made", when(overview.created_at)],
      ["Format", `version ${overview.format_version}, encryption: ${shown(overview.encryption)}`],
      ["Holds", `${count(overview.blobs, "blob")} in ${count(overview.packs, "pack")}, ${bytes(overview.bytes)} in all`],
      ["Locks", overview.locks.length === 0 ? "none: nobody works on it" : overview.locks.map(describeLock).join("; ")],
      ["Latest snapshot", latest ? `${when(latest.created_at)}${age === undefined ? "" : `, ${duration(age)} ago`}` : "none yet"],
    ]),
  );
}

function describeLock({ file, operation, hostname, pid, acquired_at: since }: Lock): string {
  if (hostname === null) return `${shown(file)}, which says nothing`;
  const holder = `${shown(operation ?? "something")} on ${shown(hostname)} (process ${pid ?? "unknown"})`;
  return since === null ? holder : `${holder} since ${when(since)}`;
}

function notices({ overview, packs }: RepositoryView, age: number | undefined): Content[] {
  const found: Content[] = [];
  const notice = (kind: string, text: string) => found.push(h("p", { class: `notice ${kind}` }, text));
  for (const lock of overview.locks.filter((lock) => lock.exclusive)) {
    const since = lock.acquired_at === null ? undefined : secondsSince(lock.acquired_at, Date.now());
    const host = lock.hostname === null ? "somebody" : shown(lock.hostname);
    notice("warning", since !== undefined && since > STALE
      ? `${host} took a lock ${duration(since)} ago. If no backup is running any more, it was left behind; this page ignores it.`
      : `A lock says that ${host} is writing a backup now. Snapshots that exist are not touched by it, and its new files may be missing from this view.`);
  }
  const missing = packs.filter((pack) => !pack.is_there).length;
  if (missing > 0) {
    notice("bad", `This copy is incomplete: ${count(missing, "pack")} that the index names ${missing === 1 ? "is" : "are"} not in it.`);
  }
  const unreadable = Object.entries(overview.unreadable);
  if (overview.snapshots.length === 0 && unreadable.length === 0) {
    notice("warning", packs.length === 0
      ? "The repository is empty: no backup has been made yet."
      : "There are packs but no snapshot: the first backup did not finish, or the copy is incomplete and lacks what is in snapshots/.");
  }
  if (age !== undefined && age > OLD) {
    notice("warning", `The latest snapshot is ${duration(age)} old. Whatever came later is not in this backup.`);
  }
  for (const [name, reason] of unreadable.slice(0, NAMED)) {
    notice("bad", `${shown(name)} cannot be read: ${shown(reason)}`);
  }
  if (unreadable.length > NAMED) notice("bad", `${count(unreadable.length - NAMED, "more manifest")} cannot be read; a verification names all of them.`);
  return found;
}

/** Draws the time line, newest first. `choose` is told which snapshot was chosen. */
export function drawTimeline(
  into: HTMLElement,
  snapshots: SnapshotSummary[],
  choose: (id: string) => void,
  inspect: (id: string) => void,
): void {
  const most = snapshots.reduce((most, snapshot) => Math.max(most, snapshot.bytes_added), 1);
  const newestFirst = [...snapshots].reverse();
  const row = (snapshot: SnapshotSummary, index: number) => {
    const id = snapshot.snapshot_id;
    const messages = messagesIn(snapshot.stats);
    const share = h("span", { class: "bar", "aria-hidden": "true" });
    share.style.setProperty("--share", String(snapshot.bytes_added / most));
    const radio = h("input", { type: "radio", name: "snapshot", value: id, checked: index === 0, onchange: () => choose(id) });
    return h(
      "li",
      {},
      h("label", {},
        radio,
        h("span", { class: "when" }, h("time", {}, when(snapshot.created_at)), snapshot.tag !== "" && h("span", { class: "tag" }, shown(snapshot.tag)), snapshot.document_texts && h("span", { class: "texts" }, "with texts of documents")),
        h("span", { class: "numbers" },
          messages === undefined ? "messages not counted" : count(messages, "message"), " · ",
          `${bytes(snapshot.database_bytes)} database · ${count(snapshot.attachments.blobs, "attachment")}`),
        h("span", { class: "added" }, share, `+${bytes(snapshot.bytes_added)}`),
        h("code", { class: "id" }, id),
      ),
      button("Look inside", () => inspect(id), { class: "quiet", "aria-label": `Look inside the snapshot of ${when(snapshot.created_at)}` }),
    );
  };
  fill(into, h("h2", {}, "Snapshots"), h("ol", { class: "timeline", reversed: true }, ...newestFirst.map(row)));
}
