// Finding the repository in what was chosen, and listing its files.

import type { Child, Folder } from "./folder.ts";
import type { RepositoryFiles } from "./messages.ts";

/** How many levels of folders around a repository are searched. */
const MAX_DEPTH = 3;
/** How many folders are searched before the search is given up: somebody chose a whole disk. */
const MAX_FOLDERS = 500;
/** How many files are opened at the same time. */
const AT_ONCE = 64;
/** How many files are listed before the page may draw and respond. */
const IN_A_ROW = 512;

/** A folder that is a repository or looks like one. */
export interface Candidate {
  /** From the chosen folder down to this one. */
  path: string;
  folder: Folder;
  /** False when `config.toml` is not there. */
  hasConfig: boolean;
}

/** What was found in a folder. */
export interface Located {
  candidates: Candidate[];
  /** What the folder is instead, when it is not a repository. */
  instead: "archive" | "part" | "too-much" | "something-else";
}

/** Looks for repositories, the nearest first; those inside a repository do not count. */
export async function locate(root: Folder): Promise<Located> {
  let level = [{ path: root.name, folder: root }];
  let looked = 0;
  let instead: Located["instead"] = "something-else";
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    const found: Candidate[] = [];
    const below: typeof level = [];
    for (const { path, folder } of level) {
      if (++looked > MAX_FOLDERS) return { candidates: found, instead: "too-much" };
      // The folder itself must be readable; those below may belong to somebody else.
      const children = await folder.list().catch((error: unknown) => {
        if (folder === root) throw error;
        return [];
      });
      if (folder === root) instead = mistakenFor(root.name, children);
      const candidate = asCandidate(path, folder, children);
      if (candidate) found.push(candidate);
      for (const child of children) {
        if (child.kind === "folder") below.push({ path: `${path}/${child.name}`, folder: child.folder });
      }
    }
    if (found.length > 0) return { candidates: found, instead };
    level = below;
  }
  return { candidates: [], instead };
}

/** What people choose by mistake: the archive that is backed up, or a folder of the repository. */
function mistakenFor(name: string, children: Child[]): Located["instead"] {
  const files = children.filter(({ kind }) => kind === "file").map((child) => child.name);
  if (files.includes("msgvault.db")) return "archive";
  const isPart = name === "packs" || files.some((file) => /\.(mvmanifest|mvidx|mvpack)$/.test(file));
  return isPart ? "part" : "something-else";
}

function asCandidate(path: string, folder: Folder, children: Child[]): Candidate | undefined {
  const has = (kind: Child["kind"], name: string) => children.some((child) => child.kind === kind && child.name === name);
  const hasConfig = has("file", "config.toml");
  const [snapshots, packs] = [has("folder", "snapshots"), has("folder", "packs")];
  const looksLikeOne = hasConfig ? snapshots || packs : snapshots && packs;
  return looksLikeOne ? { path, folder, hasConfig } : undefined;
}

/** Lists a folder and what lies up to `depth` folders below it. `onCount` is told how many were found so far. */
export async function collect(
  root: Folder,
  depth: number,
  onCount: (files: number) => void = () => {},
): Promise<RepositoryFiles> {
  const found: RepositoryFiles = { files: [], folders: [], refused: [] };
  let rested = 0;
  const visit = async (folder: Folder, prefix: string, left: number): Promise<void> => {
    const children = await folder.list();
    const files = children.filter((child) => child.kind === "file");
    for (let first = 0; first < files.length; first += AT_ONCE) {
      await Promise.all(files.slice(first, first + AT_ONCE).map((file) => open(file, prefix + file.name)));
      onCount(found.files.length);
      if (found.files.length - rested >= IN_A_ROW) {
        rested = found.files.length;
        await new Promise((done) => setTimeout(done));
      }
    }
    for (const child of children) {
      if (child.kind !== "folder") continue;
      found.folders.push(prefix + child.name);
      if (left > 0) {
        await visit(child.folder, `${prefix}${child.name}/`, left - 1).catch((error: unknown) => {
          found.refused.push([`${prefix}${child.name}/`, String(error)]);
        });
      }
    }
  };
  const open = async (child: Child & { kind: "file" }, path: string): Promise<void> => {
    try {
      const file = await child.open();
      // Chromium looks at a file of an input when it is first asked, and would do so for all of them at once when they
      // are sent to a Worker.
      void file.size;
      found.files.push([path, file]);
    } catch (error) {
      found.refused.push([path, error instanceof Error ? error.message : String(error)]);
    }
  };
  await visit(root, "", depth);
  return found;
}
