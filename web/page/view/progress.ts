// How far a verification is: bytes, rate, and time left.

import { bytes, duration } from "../words.ts";
import { byId, fill, h, show } from "./dom.ts";

export class Progress {
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

  plan(total: number, quick: boolean): void {
    this.total = total;
    this.began = performance.now();
    this.bar.max = Math.max(1, total);
    this.bar.value = 0;
    fill(this.text, quick ? "Looking up references…" : `0 B of ${bytes(total)}`);
  }

  advance(count: number): void {
    this.done += count;
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => this.draw());
  }

  end(): void {
    show("progress", false);
    this.allow(true);
  }

  private allow(start: boolean): void {
    (byId("start") as HTMLButtonElement).disabled = !start;
    (byId("cancel") as HTMLButtonElement).disabled = start;
  }

  private draw(): void {
    this.scheduled = false;
    const seconds = Math.max(0.001, (performance.now() - this.began) / 1000);
    const rate = this.done / seconds;
    const left = rate > 0 ? `, about ${duration((this.total - this.done) / rate)} left` : "";
    this.bar.value = this.done;
    fill(this.text, `${bytes(this.done)} of ${bytes(this.total)}, ${bytes(rate)}/s${seconds > 1 ? left : ""}`);
  }
}
