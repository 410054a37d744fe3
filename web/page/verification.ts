// A verification: the session plans it, checkers take one pack after another, the session joins the results.

import type { PackOutcome, RepositoryFiles, TaskRow, VerificationOutcome } from "./messages.ts";
import { CallError, type Program, Remote } from "./remote.ts";

export interface Scope {
  /** One snapshot, or all when there is none. */
  snapshot: string | undefined;
  quick: boolean;
}

/** Told about everything that happens. */
export interface Watcher {
  planned(tasks: TaskRow[]): void;
  reading(task: TaskRow): void;
  advanced(bytes: number): void;
  done(task: TaskRow, outcome: PackOutcome): void;
}

/** More Workers than this would only take memory: disks are no faster. */
const MAX_WORKERS = 8;

/** The checkers of one run. */
class Checkers {
  private readonly idle: Remote[] = [];
  private readonly busy = new Set<Remote>();

  constructor(private readonly program: Program, private readonly files: RepositoryFiles) {}

  async take(): Promise<Remote> {
    const remote = this.idle.pop() ?? (await Remote.checker(this.program, this.files));
    this.busy.add(remote);
    return remote;
  }

  give(remote: Remote): void {
    if (this.busy.delete(remote)) this.idle.push(remote);
  }

  /** Drops one that cannot be trusted any more. */
  drop(remote: Remote): void {
    this.busy.delete(remote);
    remote.end();
  }

  /** Ends all of them, and what they are doing. */
  end(): void {
    for (const remote of [...this.busy, ...this.idle.splice(0)]) remote.end();
    this.busy.clear();
  }
}

const workers = (): number => Math.max(1, Math.min(MAX_WORKERS, navigator.hardwareConcurrency || 2));

/**
 * Verifies. A cancelled run has a report too, which says what was not checked; only a run that is cancelled
 * while it is being planned fails.
 */
export async function verify(
  session: Remote,
  { program, files }: { program: Program; files: RepositoryFiles },
  scope: Scope,
  watcher: Watcher,
  cancel: AbortSignal,
): Promise<VerificationOutcome> {
  const tasks = await session.call("plan", scope.snapshot, scope.quick);
  watcher.planned(tasks);
  const checkers = new Checkers(program, files);
  const run: Run = { session, checkers, quick: scope.quick, watcher, cancel, accepted: [] };
  const waiting = tasks.map((task, number): Assignment => ({ number, task, job: undefined })).reverse();
  const end = () => checkers.end();
  cancel.addEventListener("abort", end);
  try {
    const lanes = Array.from({ length: Math.min(workers(), tasks.length) }, () => work(run, waiting));
    const failures = (await Promise.all(lanes)).filter((failure) => failure !== undefined);
    // Nobody is left to do them.
    for (const { number, task } of cancel.aborted ? [] : waiting.reverse()) giveUp(run, number, task, failures[0] ?? "");
    await Promise.all(run.accepted);
    return await session.call("report");
  } finally {
    cancel.removeEventListener("abort", end);
    end();
  }
}

interface Run {
  session: Remote;
  checkers: Checkers;
  quick: boolean;
  watcher: Watcher;
  cancel: AbortSignal;
  /** What the session was told. */
  accepted: Promise<void>[];
}

/** A task, and the job that the session makes of it once it is asked for. */
interface Assignment {
  number: number;
  task: TaskRow;
  job: Promise<string> | undefined;
}

/** Does one task after another, the last of those that wait first; answers why when no Worker can be started. */
async function work(run: Run, waiting: Assignment[]): Promise<string | undefined> {
  const jobOf = (one: Assignment) => (one.job ??= later(run.session.call("job", one.number)));
  while (waiting.length > 0 && !run.cancel.aborted) {
    let checker: Remote;
    try {
      checker = await run.checkers.take();
    } catch (error) {
      return reason(error);
    }
    const one = waiting.pop();
    if (!one || run.cancel.aborted) {
      run.checkers.drop(checker);
      return;
    }
    // The next jobs are fetched while this one is being done, so that no Worker has to wait for the session's.
    for (const next of waiting.slice(-MAX_WORKERS)) void jobOf(next);
    await check(run, checker, one, await jobOf(one));
  }
}

async function check(run: Run, checker: Remote, { number, task }: Assignment, job: string): Promise<void> {
  const { session, checkers, watcher, cancel, accepted } = run;
  watcher.reading(task);
  checker.onAdvance = watcher.advanced;
  try {
    const { outcome, result } = await checker.call("check", job, run.quick);
    checkers.give(checker);
    accepted.push(later(session.call("accept", number, result)));
    watcher.done(task, outcome);
  } catch (error) {
    checkers.drop(checker);
    if (!cancel.aborted) giveUp(run, number, task, reason(error));
  }
}

function giveUp({ session, watcher, accepted }: Run, number: number, task: TaskRow, why: string): void {
  accepted.push(later(session.call("giveUp", number, why)));
  watcher.done(task, "not-checked");
}

/** What is awaited later; until then nobody minds if it fails. */
function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Why a Worker did not do its work. */
function reason(error: unknown): string {
  if (!(error instanceof CallError)) throw error;
  const { kind, message } = error.failure;
  return kind === "crashed" ? `the browser ended its Worker, most likely for want of memory (${message})` : message;
}
