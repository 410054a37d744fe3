// Saving: to disk piece by piece where the browser can, else through memory while it is small enough.

import { unlessCancelled } from "./cancelled.ts";
import type { Remote } from "./remote.ts";
import { bytes } from "./words.ts";

/** How many bytes a browser that cannot stream may be asked to hold. */
const MAX_IN_MEMORY = 256 * 1024 * 1024;

interface SavePicker {
  showSaveFilePicker?(options: { suggestedName: string }): Promise<FileSystemFileHandle>;
}

export function saveText(name: string, text: string): void {
  offer(name, new Blob([text], { type: "text/plain" }));
}

/** Saves the checked bytes of a blob. */
export async function saveBlob(session: Remote, name: string, sha256: string): Promise<void> {
  offer(name, new Blob([await session.call("blob", sha256)]));
}

/** Saves a snapshot's database. `advance` is told how many bytes were written so far. */
export async function saveDatabase(
  session: Remote,
  snapshot: string,
  size: number,
  advance: (done: number) => void,
): Promise<string> {
  const name = `msgvault-${snapshot.slice(0, 16)}.db`;
  const picker = window as SavePicker;
  if (picker.showSaveFilePicker) {
    // Asked for at once: browsers allow it only right after a click.
    const handle = await picker.showSaveFilePicker({ suggestedName: name }).catch(unlessCancelled);
    if (!handle) return "Nothing was saved.";
    const output = await handle.createWritable();
    try {
      await eachPiece(session, snapshot, advance, (piece) => output.write(piece));
      await output.close();
    } catch (error) {
      // Nothing half done takes the place of the file.
      await output.abort();
      throw error;
    }
    return "The database was written, and every page of it has the hash that the snapshot states.";
  }
  if (size > MAX_IN_MEMORY) {
    throw new Error(`This browser can save only through memory, and ${bytes(size)} is too much for that. Use Chromium, Chrome or Edge, or msgvault restore.`);
  }
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  await eachPiece(session, snapshot, advance, async (piece) => void pieces.push(piece));
  offer(name, new Blob(pieces));
  return "The database was handed to the browser's downloads, and every page of it has the hash that the snapshot states.";
}

async function eachPiece(
  session: Remote,
  snapshot: string,
  advance: (done: number) => void,
  write: (piece: Uint8Array<ArrayBuffer>) => Promise<void>,
): Promise<void> {
  await session.call("beginDatabase", snapshot);
  for (let done = 0; ; ) {
    const piece = await session.call("nextPiece");
    if (piece.length === 0) return;
    await write(piece);
    done += piece.length;
    advance(done);
  }
}

function offer(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
