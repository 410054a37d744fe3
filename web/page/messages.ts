// What Workers and the page tell each other. The documents are made in Rust; `tests/documents.test.ts` makes one of
// each and lets the compiler compare it with these types, so that neither side can change alone.

/** What the page makes of a failure; `crashed` is the only kind that does not come from Rust. */
export type FailureKind =
  | "failed"
  | "no-repository"
  | "too-new"
  | "encrypted"
  | "unreadable"
  | "damaged-config"
  | "crashed";

export interface CallFailure {
  kind: FailureKind;
  message: string;
}

export interface Lock {
  file: string;
  exclusive: boolean;
  operation: string | null;
  hostname: string | null;
  pid: number | null;
  acquired_at: string | null;
}

export interface SnapshotSummary {
  snapshot_id: string;
  /** When all of it was last read, as far as hints in the repository say. */
  verified_at: string | null;
  parent_id: string;
  created_at: string;
  tag: string;
  format_version: number;
  min_reader_version: number;
  page_size: number;
  page_count: number;
  database_bytes: number;
  map_chain_depth: number;
  /** Only details have it. */
  page_use: { needed: number; held: number } | null;
  attachments: {
    layout: string[] | null;
    rows: number;
    blobs: number;
    blob_bytes: number;
    recipes: string[] | null;
    lists: string[] | null;
  };
  extras_tree: string;
  auxiliary: number;
  document_texts: boolean;
  /** What was counted in the archive: any JSON value, from the repository. */
  stats: unknown;
  packs_added: number;
  bytes_added: number;
  duration_seconds: number;
}

export interface Overview {
  repo_id: string;
  created_at: string;
  format_version: number;
  encryption: string;
  blobs: number;
  packs: number;
  bytes: number;
  /** Not asked for here, since it would read all lists. */
  space: null;
  locks: Lock[];
  snapshots: SnapshotSummary[];
  /** What snapshots hold much less of than the one before. */
  shrunk: { [name: string]: { what: string; before: number; after: number }[] };
  unreadable: { [name: string]: string };
}

export interface PackRow {
  file: string;
  is_there: boolean;
  /** Nothing when it is not there, or the browser would not say. */
  bytes: number | null;
  blobs: number;
}

export interface RepositoryView {
  overview: Overview;
  packs: PackRow[];
}

export interface TaskRow {
  file: string;
  blobs: number;
  bytes: number;
}

export type PackOutcome = "good" | "bad" | "missing" | "not-checked";

export interface CheckedPack {
  outcome: PackOutcome;
  /** Only sessions read it. */
  result: string;
}

export type Verdict = "intact" | "damaged" | "unchecked";

export interface Problem {
  snapshot: string | null;
  code: string;
  file: string | null;
  blob: string | null;
  pack: string | null;
  detail: string;
}

export interface NotChecked {
  snapshot: string | null;
  file: string;
  blob: string | null;
  detail: string;
}

/** What is not the repository's own; no problem. */
export interface ForeignFile {
  file: string;
  detail: string;
}

export interface Report {
  version: string;
  repo_id: string;
  depth: "quick" | "full";
  all: boolean;
  complete: boolean;
  verdict: Verdict;
  snapshots: { id: string; verdict: Verdict; problems: number; content: string | null }[];
  problems: Problem[];
  not_checked: NotChecked[];
  foreign: ForeignFile[];
  totals: { packs: number; blobs: number; bytes_read: number };
}

export interface VerificationOutcome {
  report: Report;
  summary: string;
  text: string;
}

export interface Extra {
  path: string;
  mode: string;
  size: number;
  sha256: string;
}

export interface Details extends SnapshotSummary {
  msgvault_version: string;
  options: { include_config: boolean; include_tokens: boolean; zstd_level: number; tag: string };
  /** What it holds in one hash; nothing where that cannot be read. */
  content: string | null;
  page_map: string | null;
  page_hash_map: string | null;
  excluded: string[];
  new_packs: string[];
  new_index: string | null;
  metadata: { format: string; blob: string; bytes: number } | null;
  auxiliary_artifacts: { name: string; format: string; blob: string; bytes: number; sha256: string }[];
  /** Always empty here; attachments are asked for in pages. */
  attachment_list: never[];
  extras: Extra[];
}

export interface Changes {
  parent_id: string;
  messages: [number, number] | null;
  pages: [number, number];
  pages_changed: number | null;
  attachments_added: [number, number];
  attachments_removed: [number, number];
  extras_added: string[];
  extras_removed: string[];
  extras_changed: string[];
}

export interface AttachmentPage {
  total: number;
  items: { sha256: string; size: number }[];
}

/** The files of a repository, as the page found them; Workers get a copy of the list, never of the bytes. */
export interface RepositoryFiles {
  files: [path: string, file: File][];
  folders: string[];
  /** Files that the browser would not open, and folders (ending in `/`) that it would not list, with what it said. */
  refused: [path: string, reason: string][];
}

/** What the page sends to a Worker. */
export interface Request {
  id: number;
  call: string;
  args: unknown[];
}

/** What a Worker sends to the page. */
export type Reply =
  | { id: number; value: unknown }
  | { id: number; failure: CallFailure }
  | { advanced: number };
