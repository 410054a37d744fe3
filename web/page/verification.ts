// A verification: the session plans it, checkers take one pack after another, the session joins the results.

import type { CheckedPack, PackOutcome, RepositoryFiles, TaskRow, VerificationOutcome } from "./messages.ts";
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

/** The checkers of one repository, kept from one verification to the next. */
export class Checkers {
  private idle: Remote[] = [];
  private busy = new Set<Remote>();

  constructor(private readonly program: Program, private readonly files: RepositoryFiles) {}

  static count(): number {
    return Math.max(1, Math.min(MAX_WORKERS, navigator.hardwareConcurrency || 2));
  }

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

  /** Ends all that are at work, without waiting for them. */
  stop(): void {
    for (const remote of this.busy) remote.end();
    this.busy.clear();
  }

  end(): void {
    this.stop();
    for (const remote of this.idle) remote.end();
    this.idle = [];
  }
}

/**
 * Verifies. A cancelled run has a report too, which says what was not checked; only a run that is cancelled
 * while it is being planned fails.
 */
export async function verify(
  session: Remote,
  checkers: Checkers,
  scope: Scope,
  watcher: Watcher,
  cancel: AbortSignal,
): Promise<VerificationOutcome> {
  const tasks = await session.call("plan", scope.snapshot, scope.quick);
  watcher.planned(tasks);
  let next = 0;
  const accepted: Promise<void>[] = [];
  const take = (): Assignment | undefined => {
    const task = tasks[next];
    return task && { number: next, task, job: later(session.call("job", next++)) };
  };
  const work = async (): Promise<void> => {
    let assignment = take();
    while (assignment && !cancel.aborted) {
      const { number, task, job } = assignment;
      // The next job is fetched while this one is being done, so that no Worker has to wait for the session's.
      assignment = take();
      const checked = await check(checkers, await job, scope.quick, task, watcher, cancel);
      if (!checked && cancel.aborted) return;
      accepted.push(later(checked ? session.call("accept", number, checked.result) : session.call("giveUp", number)));
      watcher.done(task, checked?.outcome ?? "not-checked");
    }
  };
  const stop = () => checkers.stop();
  cancel.addEventListener("abort", stop);
  await Promise.all(Array.from({ length: Math.min(Checkers.count(), tasks.length) }, work));
  cancel.removeEventListener("abort", stop);
  await Promise.all(accepted);
  return session.call("report");
}

/** A task that a Worker will do, and the job that the session makes of it. */
interface Assignment {
  number: number;
  task: TaskRow;
  job: Promise<string>;
}

/** What is awaited later; until then nobody minds if it fails. */
function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** What a checker found; nothing when it died or was cancelled. */
async function check(
  checkers: Checkers,
  job: string,
  quick: boolean,
  task: TaskRow,
  watcher: Watcher,
  cancel: AbortSignal,
): Promise<CheckedPack | undefined> {
  const checker = await checkers.take();
  if (cancel.aborted) return void checkers.drop(checker);
  watcher.reading(task);
  checker.onAdvance = watcher.advanced;
  try {
    const checked = await checker.call("check", job, quick);
    checkers.give(checker);
    return checked;
  } catch (error) {
    checkers.drop(checker);
    if (cancel.aborted || error instanceof CallError) return undefined;
    throw error;
  }
}
