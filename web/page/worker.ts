// The Worker's side: one session or one checker, as the page asks.

import type {
  AttachmentPage, CallFailure, Changes, CheckedPack, Details, Reply, RepositoryFiles, RepositoryView, Request, TaskRow,
  VerificationOutcome,
} from "./messages.ts";

let session: wasm_bindgen.PageSession | undefined;
let checker: wasm_bindgen.PackChecker | undefined;

/** Everything that the page can ask of a Worker. */
const calls = {
  async load(module: WebAssembly.Module): Promise<void> {
    await wasm_bindgen({ module_or_path: module });
  },
  openSession(repository: RepositoryFiles): RepositoryView {
    session?.free();
    session = undefined;
    session = wasm_bindgen.PageSession.open(table(repository));
    return JSON.parse(session.overview());
  },
  openChecker(repository: RepositoryFiles): void {
    checker?.free();
    checker = new wasm_bindgen.PackChecker(table(repository));
  },
  async check(job: string, quick: boolean): Promise<CheckedPack> {
    if (!checker) throw new Error("no files to check");
    return JSON.parse((await checker.check(job, quick, (bytes: number) => send({ advanced: bytes }))) as string);
  },
  plan: (snapshot: string | undefined, quick: boolean): TaskRow[] => JSON.parse(opened().plan(snapshot, quick)),
  job: (task: number): string => opened().job(task),
  accept: (task: number, result: string): void => opened().accept(task, result),
  giveUp: (task: number, reason: string): void => opened().giveUp(task, reason),
  report: (): VerificationOutcome => JSON.parse(opened().report()),
  details: (snapshot: string): Details => JSON.parse(opened().details(snapshot)),
  changes: (snapshot: string): Changes | null => JSON.parse(opened().changes(snapshot)),
  attachments: (snapshot: string, prefix: string, first: number, count: number): AttachmentPage =>
    JSON.parse(opened().attachments(snapshot, prefix, first, count)),
  blob: (sha256: string): Uint8Array<ArrayBuffer> => opened().blob(sha256) as Uint8Array<ArrayBuffer>,
  beginDatabase: (snapshot: string): number => opened().beginDatabase(snapshot),
  nextPiece: (): Uint8Array<ArrayBuffer> => opened().nextPiece() as Uint8Array<ArrayBuffer>,
};

export type Calls = typeof calls;

export function serve(): void {
  // One call after another, in the order in which they came: some wait for the browser.
  let queue = Promise.resolve();
  self.onmessage = (event: MessageEvent<Request>) => {
    queue = queue.then(() => answer(event.data));
  };
}

async function answer({ id, call, args }: Request): Promise<void> {
  try {
    const perform = calls[call as keyof Calls] as (...args: unknown[]) => unknown;
    const value = await perform(...args);
    send({ id, value }, value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : []);
  } catch (error) {
    send({ id, failure: failureOf(error) });
  }
}

/** Rust throws failures as JSON texts; everything else is a crash, for example for want of memory. */
function failureOf(error: unknown): CallFailure {
  if (typeof error === "string") {
    return JSON.parse(error) as CallFailure;
  }
  return { kind: "crashed", message: String(error) };
}

function opened(): wasm_bindgen.PageSession {
  if (!session) throw new Error("no repository is open");
  return session;
}

function table(repository: RepositoryFiles): wasm_bindgen.ChosenFiles {
  const files = new wasm_bindgen.ChosenFiles();
  for (const folder of repository.folders) files.addFolder(folder);
  for (const [path, file] of repository.files) files.add(path, file);
  for (const [path, reason] of repository.refused) files.addRefused(path, reason);
  return files;
}

function send(reply: Reply, transfer: Transferable[] = []): void {
  self.postMessage(reply, { transfer });
}
