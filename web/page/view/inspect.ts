// Inside one snapshot: its manifest, what changed, attachments, extras, and saving what is in it.

import type { AttachmentPage, Changes, Details, Extra } from "../messages.ts";
import type { Remote } from "../remote.ts";
import { saveBlob, saveDatabase } from "../save.ts";
import { bytes, count, shown, when } from "../words.ts";
import { type Content, button, facts, fill, h } from "./dom.ts";

/** How many attachments are shown at once. */
const PAGE = 50;
/** How many changed paths are named, and how many names are shown at once. */
const PATHS = 10;

export async function drawInspection(into: HTMLElement, session: Remote, snapshot: string): Promise<void> {
  fill(into, h("h2", {}, "Inside the snapshot"), h("p", {}, "Reading…"));
  const status = h("p", { class: "status", role: "status" });
  const attempt = (work: Promise<string | void>) =>
    work.then((done) => fill(status, done ?? ""), (error: Error) => fill(status, shown(error.message)));
  let details: Details;
  try {
    details = await session.call("details", snapshot);
  } catch (error) {
    fill(into, h("h2", {}, "Inside the snapshot"), h("p", { class: "notice bad" }, `This snapshot cannot be shown: ${shown((error as Error).message)}`));
    return;
  }
  const changes = h("div", {}, "Comparing…");
  const attachments = h("div");
  fill(
    into,
    h("h2", {}, "Inside the snapshot of ", when(details.created_at)),
    status,
    h("details", { open: true }, h("summary", {}, "Manifest"), manifest(details), databaseButton(session, details, status, attempt)),
    h("details", { open: true }, h("summary", {}, "What changed since the snapshot before"), changes),
    h("details", { open: true }, h("summary", {}, `Attachments (${details.attachments.blobs.toLocaleString("en")})`), attachments),
    h("details", { open: true }, h("summary", {}, `Other files (${details.extras.length.toLocaleString("en")})`), extras(session, details.extras, attempt)),
  );
  drawAttachments(attachments, session, snapshot, attempt);
  await session.call("changes", snapshot).then(
    (found) => fill(changes, ...describe(found)),
    (error: Error) => fill(changes, `They cannot be compared: ${shown(error.message)}`),
  );
}

type Attempt = (work: Promise<string | void>) => Promise<void>;

function manifest(details: Details): HTMLElement {
  const code = (text: string | null) => h("code", {}, text === null || text === "" ? "none" : shown(text));
  return facts([
    ["Snapshot", code(details.snapshot_id)],
    ["Parent", code(details.parent_id)],
    ["Made", when(details.created_at)],
    ["Written by", `msgvault ${shown(details.msgvault_version)}, format version ${details.format_version} (readers from ${details.min_reader_version})`],
    ["Tag", details.tag === "" ? "none" : shown(details.tag)],
    ["Database", `${bytes(details.database_bytes)}: ${count(details.page_count, "page")} of ${details.page_size} bytes`],
    ["Page map", h("span", {}, code(details.page_map), ` ${count(details.map_chain_depth, "delta")} from the keyframe`)],
    ["Page hashes", code(details.page_hash_map)],
    ...(details.page_use ? [["Blobs of pages", `hold ${count(details.page_use.held, "page")}, of which ${details.page_use.needed.toLocaleString("en")} are needed`] as [string, Content]] : []),
    ["Texts of documents", details.document_texts ? "yes: the database holds texts derived from documents" : "none are disclosed"],
    ["Attachments", `${count(details.attachments.blobs, "file")} of ${bytes(details.attachments.blob_bytes)} in ${count(details.attachments.rows, "row")}`],
    ["Attachment lists", codes(details.attachments.lists ?? [])],
    ["Tree of other files", code(details.extras_tree)],
    ["Counted", shown(counted(details.stats))],
    ["Added", `${bytes(details.bytes_added)} in ${count(details.packs_added, "pack")}, in ${details.duration_seconds.toFixed(1)} s`],
    ["New packs", codes(details.new_packs)],
    ["New index", code(details.new_index)],
    ["Options", `zstd level ${details.options.zstd_level}, ${details.options.include_config ? "with" : "without"} configuration, ${details.options.include_tokens ? "with" : "without"} tokens`],
    ["Never captured", details.excluded.length === 0 ? "nothing" : shown(details.excluded.join(", "))],
    ...(details.metadata ? [artifact("Metadata", details.metadata)] : []),
    ...details.auxiliary_artifacts.map((item) => artifact(`Artifact ${shown(item.name)}`, item)),
  ]);
}

function artifact(label: string, { format, blob, bytes: size }: NonNullable<Details["metadata"]>): [string, Content] {
  return [label, h("span", {}, h("code", {}, blob), `, ${shown(format)}, ${bytes(size)}`)];
}

/** Names, one below the other. */
function codes(names: string[]): Content {
  if (names.length === 0) return h("code", {}, "none");
  const list = h("ul", { class: "names" }, ...names.map((name) => h("li", {}, h("code", {}, shown(name)))));
  return names.length <= PATHS ? list : h("details", {}, h("summary", {}, count(names.length, "name")), list);
}

/** Counts as a sentence, whatever their names are. */
function counted(stats: unknown): string {
  if (typeof stats !== "object" || stats === null) return JSON.stringify(stats);
  const value = (one: unknown) => (Array.isArray(one) ? one.join(" to ") : typeof one === "number" ? one.toLocaleString("en") : JSON.stringify(one));
  return Object.entries(stats).map(([name, one]) => `${name.replaceAll("_", " ")}: ${value(one)}`).join(", ");
}

function databaseButton(session: Remote, details: Details, status: HTMLElement, attempt: Attempt): HTMLElement {
  const size = details.database_bytes;
  const advance = (done: number) => fill(status, `Writing the database: ${bytes(done)} of ${bytes(size)}`);
  const save = button(`Save this snapshot's msgvault.db (${bytes(size)})`, () => {
    save.disabled = true;
    void attempt(saveDatabase(session, details.snapshot_id, size, advance)).then(() => (save.disabled = false));
  });
  save.disabled = details.page_map === null;
  return h("p", { class: "actions" }, save);
}

function describe(changes: Changes | null): Content[] {
  if (!changes) return [h("p", {}, "It is the first snapshot: everything in it is new.")];
  const { pages, pages_changed: changed, messages } = changes;
  const lines = [
    messages && `Messages: ${messages[0].toLocaleString("en")} before, ${messages[1].toLocaleString("en")} now.`,
    changed === null
      ? "Database: its page size changed, so all of it was written anew."
      : `Database: ${count(changed, "page")} of ${pages[1].toLocaleString("en")} new or changed (${pages[0].toLocaleString("en")} pages before).`,
    `Attachments: ${changes.attachments_added[0]} new (${bytes(changes.attachments_added[1])}), ${changes.attachments_removed[0]} gone (${bytes(changes.attachments_removed[1])}).`,
    paths("Other files, new", changes.extras_added),
    paths("Other files, changed", changes.extras_changed),
    paths("Other files, gone", changes.extras_removed),
  ];
  return [h("ul", {}, ...lines.filter((line) => line).map((line) => h("li", {}, line as string)))];
}

function paths(label: string, list: string[]): string | undefined {
  if (list.length === 0) return undefined;
  const more = list.length > PATHS ? ` and ${list.length - PATHS} more` : "";
  return `${label}: ${list.slice(0, PATHS).map(shown).join(", ")}${more}.`;
}

function drawAttachments(into: HTMLElement, session: Remote, snapshot: string, attempt: Attempt): void {
  const list = h("ul", { class: "files" });
  const more = h("p", { class: "actions" });
  const search = h("input", { type: "search", placeholder: "Search by the beginning of a SHA-256", "aria-label": "Search attachments by hash", spellcheck: "false" });
  const row = ({ sha256, size }: AttachmentPage["items"][number]) =>
    h("li", {}, h("code", { class: "path" }, sha256), h("span", { class: "size" }, bytes(size)),
      button("Save", () => void attempt(saveBlob(session, sha256, sha256)), { class: "quiet", "aria-label": `Save attachment ${sha256}` }));
  const load = async (first: number): Promise<void> => {
    const wanted = search.value;
    const { total, items } = await session.call("attachments", snapshot, wanted, first, PAGE);
    if (wanted !== search.value) return;
    if (first === 0) fill(list);
    list.append(...items.map(row));
    const rest = total - first - items.length;
    fill(more, total === 0 && "None.", rest > 0 && button(`Show more (${rest.toLocaleString("en")} left)`, () => void attempt(load(first + items.length))));
  };
  search.addEventListener("input", () => void attempt(load(0)));
  fill(into, search, list, more);
  void attempt(load(0));
}

interface ExtrasBranch {
  folders: Map<string, ExtrasBranch>;
  files: Extra[];
}

function extras(session: Remote, list: Extra[], attempt: Attempt): HTMLElement {
  const root: ExtrasBranch = { folders: new Map(), files: [] };
  for (const extra of list) {
    let branch = root;
    for (const name of extra.path.split("/").slice(0, -1)) {
      let next = branch.folders.get(name);
      if (!next) branch.folders.set(name, (next = { folders: new Map(), files: [] }));
      branch = next;
    }
    branch.files.push(extra);
  }
  const file = (extra: Extra) => {
    const name = extra.path.split("/").at(-1) ?? extra.path;
    return h("li", {}, h("span", { class: "path" }, shown(name)), h("span", { class: "size" }, `${bytes(extra.size)}, mode ${extra.mode}`),
      button("Save", () => void attempt(saveBlob(session, name, extra.sha256)), { class: "quiet", "aria-label": `Save ${shown(extra.path)}` }));
  };
  const draw = (branch: ExtrasBranch): HTMLElement =>
    h("ul", { class: "files" },
      ...[...branch.folders].map(([name, inner]) => h("li", { class: "folder" }, h("details", { open: true }, h("summary", {}, `${shown(name)}/`), draw(inner)))),
      ...branch.files.map(file));
  return list.length === 0 ? h("p", {}, "None were captured.") : draw(root);
}
