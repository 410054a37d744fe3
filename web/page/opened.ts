// A repository that is open: what is shown of it, and what can be done with it.

import type { RepositoryFiles, RepositoryView, VerificationOutcome } from "./messages.ts";
import { CallError, type Program, Remote } from "./remote.ts";
import { type Scope, verify } from "./verification.ts";
import { byId, fill, h, show } from "./view/dom.ts";
import { drawInspection } from "./view/inspect.ts";
import { PackMap } from "./view/packmap.ts";
import { drawProblems } from "./view/problems.ts";
import { Progress } from "./view/progress.ts";
import { drawRepository, drawTimeline } from "./view/repository.ts";
import { drawVerdict } from "./view/verdict.ts";
import { shown } from "./words.ts";

export class OpenedRepository {
  private chosen: string | undefined;
  private running: AbortController | undefined;
  private map!: PackMap;
  private scope: Scope = { snapshot: undefined, quick: false };

  private constructor(
    readonly program: Program,
    private readonly name: string,
    readonly files: RepositoryFiles,
    private session: Remote,
    private readonly opened: RepositoryView,
  ) {
    this.chosen = opened.overview.snapshots.at(-1)?.snapshot_id;
    this.draw();
  }

  static async open(program: Program, name: string, files: RepositoryFiles): Promise<OpenedRepository> {
    const session = await Remote.start(program);
    try {
      return new OpenedRepository(program, name, files, session, await session.call("openSession", files));
    } catch (error) {
      session.end();
      throw error;
    }
  }

  close(): void {
    this.running?.abort();
    this.session.end();
  }

  private draw(): void {
    const { overview, packs } = this.opened;
    drawRepository(byId("about"), this.name, this.opened);
    drawTimeline(byId("timeline"), overview.snapshots, (id) => this.choose(id), (id) => this.inspect(id));
    this.map = new PackMap(packs, () => this.scope.snapshot === undefined);
    fill(byId("map"), h("h2", {}, "Packs"), this.map.element);
    const form = byId("verify") as HTMLFormElement;
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.verify();
    };
    byId("cancel").onclick = () => this.cancel();
    const hasSnapshots = overview.snapshots.length > 0;
    for (const value of ["latest", "chosen"]) this.scopeInput(value).disabled = !hasSnapshots;
    this.scopeInput(hasSnapshots ? "latest" : "all").checked = true;
    form.inert = false;
    show("progress", false);
    show("repository", true);
    show("verify", true);
    show("map", packs.length > 0);
  }

  private scopeInput(value: string): HTMLInputElement {
    return byId("verify").querySelector(`input[name=scope][value=${value}]`) as HTMLInputElement;
  }

  private choose(id: string): void {
    this.chosen = id;
    this.scopeInput("chosen").checked = true;
  }

  private inspect(id: string): void {
    show("inspect", true);
    void drawInspection(byId("inspect"), this.session, id).then(() => byId("inspect").scrollIntoView({ block: "start" }));
  }

  private chosenScope(): Scope {
    const data = new FormData(byId("verify") as HTMLFormElement);
    const latest = this.opened.overview.snapshots.at(-1)?.snapshot_id;
    const snapshots: { [scope: string]: string | undefined } = { latest, chosen: this.chosen };
    return { snapshot: snapshots[String(data.get("scope"))], quick: data.get("depth") === "quick" };
  }

  private async verify(): Promise<void> {
    if (this.running) return;
    const cancel = new AbortController();
    this.running = cancel;
    this.scope = this.chosenScope();
    show("verdict", false);
    show("problems", false);
    document.body.dataset["running"] = "true";
    const progress = new Progress(byId("progress"));
    const unread = { packs: 0, of: 0 };
    try {
      const outcome = await verify(this.session, this, this.scope, {
        planned: (tasks) => {
          unread.of = tasks.length;
          unread.packs = tasks.length;
          progress.plan(tasks, this.scope.quick);
          this.map.plan(tasks);
          this.planned = true;
        },
        reading: (task) => this.map.set(task.file, "reading"),
        advanced: (bytes) => progress.advance(bytes),
        done: (task, result) => {
          progress.packDone();
          if (result !== "not-checked") unread.packs--;
          this.map.set(task.file, result);
        },
      }, cancel.signal);
      if (this.running === cancel) this.finish(outcome, unread);
    } catch (error) {
      if (this.running === cancel) await this.fail(error, cancel.signal.aborted);
    } finally {
      progress.end();
      this.planned = false;
      this.running = undefined;
      delete document.body.dataset["running"];
    }
  }

  private planned = false;

  private cancel(): void {
    this.running?.abort();
    // A plan cannot be interrupted otherwise.
    if (!this.planned) this.session.end();
  }

  private finish(outcome: VerificationOutcome, unread: { packs: number; of: number }): void {
    const { overview, packs } = this.opened;
    this.map.finish(outcome.report.problems);
    show("verdict", true);
    drawVerdict(byId("verdict"), {
      outcome,
      time: new Date().toISOString(),
      command: this.command(),
      snapshots: overview.snapshots.length,
      unread,
    });
    const sizes = new Map<string, number | "refused">(this.files.files.map(([path, file]) => [path, file.size]));
    for (const [path] of this.files.refused) sizes.set(path, "refused");
    const blobs = new Map(packs.map((pack) => [pack.file, pack.blobs]));
    drawProblems(byId("problems"), outcome.report, { bytes: (file) => sizes.get(file), blobs: (file) => blobs.get(file) });
    fill(byId("announcement"), outcome.summary);
    byId("verdict").scrollIntoView({ block: "nearest" });
  }

  private async fail(error: unknown, cancelled: boolean): Promise<void> {
    const verdict = byId("verdict");
    verdict.dataset["kind"] = "unchecked";
    const reason = cancelled
      ? "It was cancelled before it was known what must be read."
      : `${shown(error instanceof Error ? error.message : String(error))}. Use msgvault-verify.`;
    fill(verdict, h("h2", {}, "Could not be checked"), h("p", { class: "sentence" }, reason));
    fill(byId("announcement"), `Could not be checked. ${reason}`);
    show("verdict", true);
    this.map.finish([]);
    if (cancelled || (error instanceof CallError && error.failure.kind === "crashed")) {
      await this.reopen().catch((again: unknown) => {
        verdict.append(h("p", {}, `The repository cannot be opened again (${shown(String(again))}). Choose the folder once more.`));
      });
    }
  }

  private async reopen(): Promise<void> {
    this.session.end();
    this.session = await Remote.start(this.program);
    await this.session.call("openSession", this.files);
  }

  private command(): string {
    const name = /^[\w./-]+$/.test(this.name) ? this.name : `'${this.name.replaceAll("'", "'\\''")}'`;
    const latest = this.opened.overview.snapshots.at(-1)?.snapshot_id;
    const { snapshot, quick } = this.scope;
    const scope = snapshot === undefined ? " --all" : snapshot === latest ? "" : ` ${snapshot}`;
    return shown(`msgvault-verify ${name}${scope}${quick ? " --quick" : ""}`);
  }
}
