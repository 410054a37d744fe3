// A verification: the session plans, checkers take one pack after another, the session joins the results.

import type { Outcome, PackOutcome, RepositoryFiles, TaskRow } from "./messages.ts";
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

/** More Workers than this only take memory: disks are not faster. */
const MAX_WORKERS = 8;

/** Checkers of one repository, kept from one verification to the next. */
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

  /** Ends all that are at work, at once. */
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
 * while it is planned fails.
 */
export async function verify(
  session: Remote,
  checkers: Checkers,
  scope: Scope,
  watcher: Watcher,
  cancel: AbortSignal,
): Promise<Outcome> {
  const tasks = await session.call("plan", scope.snapshot, scope.quick);
  watcher.planned(tasks);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < tasks.length && !cancel.aborted) {
      const number = next++;
      await check(session, checkers, scope.quick, number, tasks[number]!, watcher, cancel);
    }
  };
  const stop = () => checkers.stop();
  cancel.addEventListener("abort", stop);
  await Promise.all(Array.from({ length: Math.min(Checkers.count(), tasks.length) }, work));
  cancel.removeEventListener("abort", stop);
  return session.call("report");
}

async function check(
  session: Remote,
  checkers: Checkers,
  quick: boolean,
  number: number,
  task: TaskRow,
  watcher: Watcher,
  cancel: AbortSignal,
): Promise<void> {
  const [job, checker] = await Promise.all([session.call("job", number), checkers.take()]);
  if (cancel.aborted) return checkers.drop(checker);
  watcher.reading(task);
  checker.onAdvance = watcher.advanced;
  try {
    const { outcome, result } = await checker.call("check", job, quick);
    checkers.give(checker);
    await session.call("accept", number, result);
    watcher.done(task, outcome);
  } catch (error) {
    checkers.drop(checker);
    if (cancel.aborted) return;
    if (!(error instanceof CallError)) throw error;
    await session.call("giveUp", number);
    watcher.done(task, "not-checked");
  }
}
