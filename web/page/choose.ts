// The three ways to hand a folder to the page.

import { unlessCancelled } from "./cancelled.ts";
import { type Child, type Folder, fromEntry, fromFiles, fromHandle } from "./folder.ts";

interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

interface Picker {
  showDirectoryPicker?(options: { mode: "read" }): Promise<FileSystemDirectoryHandle>;
}

export const canPick = (): boolean => typeof (window as Picker).showDirectoryPicker === "function";

/** Asks for a folder; nothing when the person changed their mind. */
export async function pick(): Promise<Folder | undefined> {
  const handle = await (window as Picker).showDirectoryPicker?.({ mode: "read" }).catch(unlessCancelled);
  return handle && fromHandle(handle);
}

/** The folder that an `<input webkitdirectory>` holds. */
export function fromInput(list: FileList): Folder | undefined {
  const files = [...list];
  const name = files[0]?.webkitRelativePath.split("/")[0];
  if (name === undefined) return undefined;
  return fromFiles(name, files.map((file) => [file.webkitRelativePath.slice(name.length + 1), file] as const));
}

/** What was dropped. Must be called while the event is handled: afterwards its items are gone. */
export function fromDrop(data: DataTransfer): Promise<Folder | undefined> {
  const items = [...data.items].filter((item) => item.kind === "file");
  const dropped = items.map((item) => ({
    handle: (item as HandleItem).getAsFileSystemHandle?.().catch(() => null),
    entry: item.webkitGetAsEntry(),
    file: item.getAsFile(),
  }));
  return gather(dropped);
}

interface Dropped {
  handle: Promise<FileSystemHandle | null> | undefined;
  entry: FileSystemEntry | null;
  file: File | null;
}

async function gather(dropped: Dropped[]): Promise<Folder | undefined> {
  const children = (await Promise.all(dropped.map(child))).filter((child) => child !== undefined);
  const [first] = children;
  if (children.length === 1 && first?.kind === "folder") return first.folder;
  // The contents of the folder were dropped in its place.
  return first && { name: "", list: async () => children };
}

async function child({ handle, entry, file }: Dropped): Promise<Child | undefined> {
  const found = await handle;
  if (found?.kind === "directory") {
    return { kind: "folder", name: found.name, folder: fromHandle(found as FileSystemDirectoryHandle) };
  }
  if (!found && entry?.isDirectory) {
    return { kind: "folder", name: entry.name, folder: fromEntry(entry as FileSystemDirectoryEntry) };
  }
  return file ? { kind: "file", name: file.name, open: async () => file } : undefined;
}
