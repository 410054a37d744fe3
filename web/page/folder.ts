// Folders, whatever the browser calls them: handles, entries, or the flat list of an input.

/** A folder that can be looked into as often as one likes. */
export interface Folder {
  name: string;
  list(): Promise<Child[]>;
}

export type Child =
  | { kind: "folder"; name: string; folder: Folder }
  | { kind: "file"; name: string; open(): Promise<File> };

/** A folder from `showDirectoryPicker` or `getAsFileSystemHandle`. */
export function fromHandle(handle: FileSystemDirectoryHandle): Folder {
  return {
    name: handle.name,
    async list() {
      const children: Child[] = [];
      for await (const child of handle.values()) {
        if (child.kind === "directory") {
          children.push({ kind: "folder", name: child.name, folder: fromHandle(child as FileSystemDirectoryHandle) });
        } else {
          const file = child as FileSystemFileHandle;
          children.push({ kind: "file", name: child.name, open: () => file.getFile() });
        }
      }
      return children;
    },
  };
}

/** A folder from `webkitGetAsEntry`. */
export function fromEntry(entry: FileSystemDirectoryEntry): Folder {
  return {
    name: entry.name,
    async list() {
      const reader = entry.createReader();
      const children: Child[] = [];
      // A reader gives about 100 entries at a time, and none at the end.
      for (;;) {
        const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
        if (some.length === 0) return children;
        children.push(...some.map(childOfEntry));
      }
    },
  };
}

function childOfEntry(entry: FileSystemEntry): Child {
  if (entry.isDirectory) {
    return { kind: "folder", name: entry.name, folder: fromEntry(entry as FileSystemDirectoryEntry) };
  }
  const file = entry as FileSystemFileEntry;
  const open = () => new Promise<File>((resolve, reject) => file.file(resolve, reject));
  return { kind: "file", name: entry.name, open };
}

/** The folders of the format: an input does not list empty ones. */
const KNOWN_FOLDERS = ["snapshots", "packs", "indexes", "locks"];

/** The folder that an `<input webkitdirectory>` gave, or that the page made itself. */
export function fromFiles(name: string, files: Iterable<readonly [path: string, file: File]>): Folder {
  const root = new Branch(name);
  for (const [path, file] of files) root.add(path.split("/"), file);
  root.completeRepositories();
  return root;
}

class Branch implements Folder {
  private readonly folders = new Map<string, Branch>();
  private readonly files = new Map<string, File>();

  constructor(readonly name: string) {}

  add([head = "", ...rest]: string[], file: File): void {
    if (rest.length === 0) this.files.set(head, file);
    else this.folder(head).add(rest, file);
  }

  completeRepositories(): void {
    for (const folder of this.folders.values()) folder.completeRepositories();
    if (this.files.has("config.toml") && KNOWN_FOLDERS.some((name) => this.folders.has(name))) {
      for (const name of KNOWN_FOLDERS) this.folder(name);
    }
  }

  async list(): Promise<Child[]> {
    const folders = [...this.folders].map(([name, folder]): Child => ({ kind: "folder", name, folder }));
    const files = [...this.files].map(([name, file]): Child => ({ kind: "file", name, open: async () => file }));
    return [...folders, ...files];
  }

  private folder(name: string): Branch {
    let folder = this.folders.get(name);
    if (!folder) this.folders.set(name, (folder = new Branch(name)));
    return folder;
  }
}
