// The page: choosing, opening, verifying, looking inside. One repository at a time.

import { canPick, fromDrop, fromInput, pick } from "./choose.ts";
import { embedded } from "./embedded.ts";
import type { Folder } from "./folder.ts";
import { type Candidate, type Located, collect, locate } from "./locate.ts";
import { OpenedRepository } from "./opened.ts";
import { CallError, type Program } from "./remote.ts";
import { Sample } from "./sample.ts";
import { button, byId, fill, h, show } from "./view/dom.ts";
import { count, loadWords, shown, version } from "./words.ts";

/** How many levels of folders below a repository hold its files. */
const DEPTH = 3;

let program: Program;
let current: OpenedRepository | undefined;
/** Counts what was chosen, so that a folder that is slow to open does not replace a later one. */
let chosen = 0;

export async function startPage(script: string): Promise<void> {
  connect();
  try {
    const module = await WebAssembly.compile(await embedded("verifier"));
    await loadWords(module);
    program = { script: URL.createObjectURL(new Blob([script], { type: "text/javascript" })), module };
  } catch (error) {
    say("bad", `This browser cannot run the verifier (${String(error)}). Use a current one, or msgvault-verify.`);
    return;
  }
  fill(byId("version"), version());
  byId("choose").removeAttribute("inert");
  document.body.dataset["ready"] = "true";
}

function connect(): void {
  const input = byId("input") as HTMLInputElement;
  byId("pick").addEventListener("click", () => {
    if (canPick()) void pick().then(openFolder).catch(failed);
    else input.click();
  });
  input.addEventListener("change", () => {
    const folder = input.files && fromInput(input.files);
    // So that the same folder can be chosen again.
    input.value = "";
    void openFolder(folder ?? undefined).catch(failed);
  });
  byId("sample").addEventListener("click", () => void Sample.load().then(openSample).catch(failed));
  connectDrop();
}

function connectDrop(): void {
  const over = (is: boolean) => byId("choose").classList.toggle("over", is);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) over(false);
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer && document.body.dataset["ready"]) void fromDrop(event.dataTransfer).then(openFolder).catch(failed);
  });
}

async function openSample(sample: Sample): Promise<void> {
  await openFolder(sample.folder());
  const flip = button("Flip one byte", () => void openSample(sample.withFlippedByte()).catch(failed));
  if (sample.flipped) say("warning", `${sample.flipped} Nobody would notice until it is needed. Verify, and see.`);
  else say("done", "This is a sample. Verify it; then let a byte of it go bad, and verify again.");
  byId("status").append(flip);
  // The button that was used is gone: whoever works by keyboard goes on from the new one.
  if (sample.flipped) flip.focus();
}

function failed(error: unknown): void {
  say("bad", `The folder cannot be read: ${shown(String(error instanceof Error ? error.message : error))}`);
}

async function openFolder(folder: Folder | undefined): Promise<void> {
  if (!folder) return;
  const turn = ++chosen;
  close();
  say("busy", "Looking for the repository…");
  const { candidates, instead } = await locate(folder);
  if (turn !== chosen) return;
  const [first] = candidates;
  if (candidates.length > 1) offer(candidates);
  else if (!first) explainMistake(folder.name, instead);
  else if (!first.hasConfig) explainIncomplete(first);
  else await open(first, turn);
}

async function open({ path, folder }: Candidate, turn: number): Promise<void> {
  try {
    const files = await collect(folder, DEPTH, (found) => say("busy", `Listing files: ${found.toLocaleString("en")} so far…`));
    if (turn !== chosen) return;
    say("busy", `Opening ${count(files.files.length, "file")}…`);
    const opened = await OpenedRepository.open(program, folder.name || path, files);
    if (turn !== chosen) return opened.close();
    current = opened;
    say("done", path === folder.name ? "" : `The repository was found in ${shown(path)}.`);
  } catch (error) {
    if (turn !== chosen) return;
    if (error instanceof CallError) explain(error);
    else failed(error);
  }
}

function close(): void {
  current?.close();
  current = undefined;
  for (const id of ["repository", "verify", "map", "verdict", "problems", "inspect"]) show(id, false);
}

function offer(candidates: Candidate[]): void {
  const choose = (candidate: Candidate) => {
    const turn = ++chosen;
    if (candidate.hasConfig) void open(candidate, turn);
    else explainIncomplete(candidate);
  };
  say("warning", "There are several repositories in this folder. Which one?");
  byId("status").append(h("ul", {}, ...candidates.map((one) => h("li", {}, button(shown(one.path), () => choose(one))))));
}

const INSTEAD: { [instead in Located["instead"]]: string } = {
  archive: "is an archive (it holds msgvault.db), not the backup of one. Choose the folder that its backups are written to.",
  part: "is only part of a repository. Choose the folder around it, which holds config.toml, snapshots/ and packs/.",
  "too-much": "holds very many folders, and no msgvault repository among the first of them. Choose the folder that holds config.toml, snapshots/ and packs/.",
  "something-else": "holds no msgvault repository. Choose the folder that holds config.toml, snapshots/ and packs/.",
};

function explainMistake(name: string, instead: Located["instead"]): void {
  say("bad", `Could not be checked: ${name === "" ? "what was dropped" : shown(name)} ${INSTEAD[instead]}`, "no-repository");
}

function explainIncomplete({ path }: Candidate): void {
  say("bad", `Could not be checked: ${shown(path)} has snapshots/ and packs/, but no config.toml. The copy is incomplete; fetch config.toml from the original, and choose the folder again.`, "incomplete");
}

const ADVICE: { [kind in CallError["failure"]["kind"]]: string } = {
  "no-repository": "Choose the folder that holds config.toml, snapshots/ and packs/.",
  // The message says what to do.
  "too-new": "",
  encrypted: "Nothing is wrong with it as far as this page can tell, which is not far.",
  unreadable: "Check that the medium is there and that you may read it, then choose the folder again.",
  "damaged-config": "Fetch config.toml from another copy of the repository, then choose the folder again.",
  failed: "The copy may be incomplete: fetch what is missing from another copy of the repository, then choose the folder again.",
  crashed: "The browser ran out of memory, or the page has a fault. Use msgvault-verify.",
};

function explain({ failure }: CallError): void {
  say("bad", `Could not be checked: ${shown(failure.message)}. ${ADVICE[failure.kind]}`.trim(), failure.kind);
}

/** Says what is happening, to screen readers too. */
function say(kind: "busy" | "done" | "warning" | "bad", text: string, state: string = kind): void {
  const status = byId("status");
  status.className = kind;
  status.dataset["state"] = state;
  fill(status, h("p", {}, text));
}
