// A Worker, as the page sees it: calls that can be awaited.

import type { CallFailure, Reply, RepositoryFiles } from "./messages.ts";
import type { Calls } from "./worker.ts";

/** A call to a Worker did not succeed. */
export class CallError extends Error {
  constructor(readonly failure: CallFailure) {
    super(failure.message);
  }
}

type Waiting = { resolve: (value: never) => void; reject: (error: CallError) => void };

/** What every Worker needs: the script of this page, and the compiled verifier. */
export interface Program {
  script: string;
  module: WebAssembly.Module;
}

export class Remote {
  /** Told how many more bytes were checked. */
  onAdvance: (bytes: number) => void = () => {};
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  /** Why no call is answered any more. */
  private ended: CallFailure | undefined;

  private constructor(program: Program) {
    this.worker = new Worker(program.script);
    this.worker.onmessage = (event: MessageEvent<Reply>) => this.take(event.data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.end({ kind: "crashed", message: event.message || "the Worker ended unexpectedly" });
    };
  }

  static async start(program: Program): Promise<Remote> {
    const remote = new Remote(program);
    return remote.ready(remote.call("load", program.module));
  }

  /** A Worker that can check packs of this repository. */
  static async checker(program: Program, repository: RepositoryFiles): Promise<Remote> {
    const remote = await Remote.start(program);
    return remote.ready(remote.call("openChecker", repository));
  }

  /** Itself after a first call; a Worker that cannot begin is not left behind. */
  private async ready(first: Promise<unknown>): Promise<this> {
    try {
      await first;
      return this;
    } catch (error) {
      this.end();
      throw error;
    }
  }

  call<Name extends keyof Calls>(
    name: Name,
    ...args: Parameters<Calls[Name]>
  ): Promise<Awaited<ReturnType<Calls[Name]>>> {
    if (this.ended) return Promise.reject(new CallError(this.ended));
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, call: name, args });
    });
  }

  /** Ends the Worker at once, whatever it is doing; calls that wait for an answer, and later ones, fail with `failure`. */
  end(failure: CallFailure = { kind: "failed", message: "cancelled" }): void {
    this.ended ??= failure;
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new CallError(failure));
    this.waiting.clear();
  }

  private take(reply: Reply): void {
    if ("advanced" in reply) {
      this.onAdvance(reply.advanced);
      return;
    }
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if ("failure" in reply) waiting?.reject(new CallError(reply.failure));
    else waiting?.resolve(reply.value as never);
  }
}
