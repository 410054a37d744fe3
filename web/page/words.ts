// Words: those that Rust defines for all programs, and a few about time that only the page needs.

let meanings: { [code: string]: string } = {};

/** Makes the shared words available on this side; they need the compiled verifier. */
export async function loadWords(module: WebAssembly.Module): Promise<void> {
  await wasm_bindgen({ module_or_path: module });
  meanings = JSON.parse(wasm_bindgen.problemMeanings());
}

/** Text from a repository, made harmless to look at. */
export const shown = (text: string): string => wasm_bindgen.escape(text);
/** Bytes with a unit. */
export const bytes = (count: number): string => wasm_bindgen.humanBytes(count);
/** The version of the verifier. */
export const version = (): string => wasm_bindgen.version();
/** What a problem code means. */
export const meaning = (code: string): string => meanings[code] ?? code;

export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "3 days", of a number of seconds. */
export function duration(seconds: number): string {
  if (seconds < MINUTE) return count(Math.max(0, Math.round(seconds)), "second");
  if (seconds < 2 * HOUR) return count(Math.round(seconds / MINUTE), "minute");
  if (seconds < 2 * DAY) return count(Math.round(seconds / HOUR), "hour");
  return count(Math.round(seconds / DAY), "day");
}

/** Seconds since a time that a repository states; nothing when it is not a time. */
export function secondsSince(time: string, now: number): number | undefined {
  const then = Date.parse(time);
  return Number.isNaN(then) ? undefined : (now - then) / 1000;
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A time that a repository states, as people write it here; what is not a time stays as it is. */
export function when(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return shown(time);
  return moment.format(date);
}

/** How many messages a snapshot has, where its counts say so. */
export function messagesIn(stats: unknown): number | undefined {
  const messages = (stats as { messages?: unknown } | null)?.messages;
  return typeof messages === "number" ? messages : undefined;
}
