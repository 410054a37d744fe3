// How far a verification has come: bytes, rate and time left; or packs, where only references are looked up.

import type { TaskRow } from "../messages.ts";
import { bytes, count, duration } from "../words.ts";
import { byId, fill, h, show } from "./dom.ts";

/** Milliseconds between two drawings, which take time from checking. */
const DRAW_EVERY = 250;

export class Progress {
  private quick = false;
  private total = 0;
  private done = 0;
  private began = 0;
  private scheduled = false;
  private readonly bar = h("progress", { "aria-label": "Progress of the verification" });
  private readonly text = h("p", { class: "rate" }, "Finding out what must be read…");

  constructor(into: HTMLElement) {
    fill(into, this.bar, this.text);
    show("progress", true);
    this.allow(false);
  }

  plan(tasks: TaskRow[], quick: boolean): void {
    this.quick = quick;
    this.total = quick ? tasks.length : tasks.reduce((sum, task) => sum + task.bytes, 0);
    this.began = performance.now();
    this.bar.max = Math.max(1, this.total);
    this.draw();
  }

  advance(bytes: number): void {
    if (!this.quick) this.add(bytes);
  }

  packDone(): void {
    if (this.quick) this.add(1);
  }

  end(): void {
    show("progress", false);
    this.allow(true);
  }

  private allow(start: boolean): void {
    (byId("start") as HTMLButtonElement).disabled = !start;
    (byId("cancel") as HTMLButtonElement).disabled = start;
  }

  private add(done: number): void {
    this.done += done;
    if (this.scheduled) return;
    this.scheduled = true;
    setTimeout(() => this.draw(), DRAW_EVERY);
  }

  private draw(): void {
    this.scheduled = false;
    this.bar.value = this.done;
    if (this.quick) {
      fill(this.text, `References into ${this.done.toLocaleString("en")} of ${count(this.total, "pack")} looked up; content is not read`);
      return;
    }
    const seconds = (performance.now() - this.began) / 1000;
    const rate = this.done / Math.max(0.001, seconds);
    const left = seconds > 1 && rate > 0 ? `, about ${duration((this.total - this.done) / rate)} left` : "";
    const speed = this.done > 0 ? `, ${bytes(rate)}/s` : "";
    fill(this.text, `${bytes(this.done)} of ${bytes(this.total)}${speed}${left}`);
  }
}
