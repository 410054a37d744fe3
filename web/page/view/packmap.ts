// The map of packs: a cell for each pack, or for a few packs where there are very many.

import type { PackOutcome, PackRow, Problem, TaskRow } from "../messages.ts";
import { bytes, count, shown } from "../words.ts";
import { fill, h } from "./dom.ts";

type State = PackOutcome | "waiting" | "reading" | "unneeded" | "unknown";

/** In a shared cell, a state hides those that come after it here. Every state has a sign of its own. */
const STATES: { [state in State]: { sign: string; label: string } } = {
  missing: { sign: "?", label: "missing" },
  bad: { sign: "✕", label: "damaged" },
  "not-checked": { sign: "–", label: "not checked" },
  reading: { sign: "…", label: "being read" },
  waiting: { sign: "·", label: "waiting" },
  good: { sign: "✓", label: "good" },
  unneeded: { sign: "○", label: "not needed" },
  unknown: { sign: "", label: "not looked at" },
};
const ORDER = Object.keys(STATES) as State[];
const MAX_CELLS = 1500;

interface Cell {
  element: HTMLButtonElement;
  packs: PackRow[];
}

/** The pack that a path names. */
const idOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1, -".mvpack".length);

function sizeOf(packs: PackRow[]): string {
  const sizes = packs.map((pack) => pack.bytes).filter((size) => size !== null);
  return sizes.length === 0 ? "size not known" : bytes(sizes.reduce((sum, size) => sum + size, 0));
}

export class PackMap {
  readonly element: HTMLElement;
  private readonly states = new Map<string, State>();
  private readonly cells: Cell[] = [];
  private readonly cellOf = new Map<string, Cell>();
  private readonly legend = h("ul", { class: "legend" });
  private readonly about = h("p", { class: "about-pack" }, "Point at a pack, or use the arrow keys, to see what it is.");
  private readonly changed = new Set<Cell>();
  /** The cell that is being described. */
  private told: Cell | undefined;

  constructor(private readonly packs: PackRow[], private readonly all: () => boolean) {
    const grid = h("div", { class: "packs", role: "group", "aria-label": "Packs; arrow keys move between them" });
    const size = Math.ceil(packs.length / MAX_CELLS) || 1;
    for (let first = 0; first < packs.length; first += size) this.addCell(grid, packs.slice(first, first + size));
    grid.addEventListener("keydown", (event) => this.move(event, grid));
    this.element = h("div", {}, this.legend, grid, this.about);
    for (const pack of packs) this.states.set(pack.file, pack.is_there ? "unknown" : "missing");
    for (const cell of this.cells) this.changed.add(cell);
    this.draw();
  }

  /** Marks what a verification will read, and the rest as not part of it. */
  plan(tasks: TaskRow[]): void {
    const wanted = new Set(tasks.map(({ file }) => file));
    for (const { file, is_there: isThere } of this.packs) {
      this.set(file, !isThere ? "missing" : wanted.has(file) ? "waiting" : "unneeded");
    }
    this.draw();
  }

  set(file: string, state: State): void {
    this.states.set(file, state);
    const cell = this.cellOf.get(file);
    if (cell && this.changed.size === 0) requestAnimationFrame(() => this.draw());
    if (cell) this.changed.add(cell);
  }

  /** Ends a verification: what was not read is marked so, and problems that only the end could find are shown. */
  finish(problems: Problem[]): void {
    for (const [file, state] of this.states) {
      if (state === "waiting" || state === "reading") this.set(file, "not-checked");
    }
    const paths = new Map(this.packs.map(({ file }) => [idOf(file), file]));
    for (const { file, pack } of problems) {
      const path = paths.get(pack ?? idOf(file ?? ""));
      if (path && this.states.get(path) === "good") this.set(path, "bad");
    }
    this.draw();
  }

  private addCell(grid: HTMLElement, packs: PackRow[]): void {
    const element = h("button", { type: "button", tabindex: this.cells.length === 0 ? 0 : -1 });
    const cell = { element, packs };
    const tell = () => {
      this.told = cell;
      fill(this.about, this.describe(cell));
    };
    element.addEventListener("pointerenter", tell);
    element.addEventListener("focus", tell);
    for (const pack of packs) this.cellOf.set(pack.file, cell);
    this.cells.push(cell);
    grid.append(element);
  }

  private draw(): void {
    for (const cell of this.changed) {
      const state = this.stateOf(cell);
      cell.element.dataset["state"] = state;
      cell.element.textContent = STATES[state].sign;
      cell.element.setAttribute("aria-label", this.describe(cell));
    }
    if (this.told && this.changed.has(this.told)) fill(this.about, this.describe(this.told));
    this.changed.clear();
    const totals = new Map<State, number>();
    for (const state of this.states.values()) totals.set(state, (totals.get(state) ?? 0) + 1);
    const row = (state: State) =>
      h("li", {}, h("span", { class: "sign", "data-state": state }, STATES[state].sign), `${totals.get(state)} ${this.label(state)}`);
    fill(this.legend, ...ORDER.filter((state) => totals.has(state)).map(row));
  }

  private stateOf({ packs }: Cell): State {
    const states = packs.map((pack) => this.states.get(pack.file) ?? "unknown");
    return ORDER.find((state) => states.includes(state)) ?? "unknown";
  }

  private label(state: State): string {
    if (state !== "unneeded") return STATES[state].label;
    return this.all() ? "unreferenced" : "not needed by what was asked for";
  }

  private describe({ packs }: Cell): string {
    const [first] = packs;
    if (!first) return "";
    const blobs = packs.reduce((sum, pack) => sum + pack.blobs, 0);
    const name = packs.length === 1 ? shown(first.file) : `${packs.length} packs from ${shown(first.file)} on`;
    const there = packs.length > 1 || first.is_there ? sizeOf(packs) : "no file";
    const states = [...new Set(packs.map((pack) => this.label(this.states.get(pack.file) ?? "unknown")))];
    return `${name}: ${there}, ${count(blobs, "blob")}, ${states.join(", ")}`;
  }

  private move(event: KeyboardEvent, grid: HTMLElement): void {
    const current = this.cells.findIndex((cell) => cell.element === document.activeElement);
    const top = this.cells[0]?.element.offsetTop;
    const columns = this.cells.findIndex((cell) => cell.element.offsetTop !== top);
    const row = columns > 0 ? columns : grid.childElementCount;
    const last = this.cells.length - 1;
    const targets: { [key: string]: number } = {
      ArrowRight: current + 1, ArrowLeft: current - 1, ArrowDown: current + row, ArrowUp: current - row, Home: 0, End: last,
    };
    const target = this.cells[targets[event.key] ?? -1];
    if (!target) return;
    event.preventDefault();
    this.cells[current]?.element.setAttribute("tabindex", "-1");
    target.element.setAttribute("tabindex", "0");
    target.element.focus();
  }
}
