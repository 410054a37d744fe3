// What Linux says about the processes that this one started, the browser's among them.

import { readFileSync, readdirSync } from "node:fs";

const TICKS_PER_SECOND = 100;

/** Processor seconds of all children that ended and were waited for. */
export function childSeconds() {
  const fields = stat(`/proc/${process.pid}/stat`);
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/** Processor seconds of everything that the browser runs, by kind of process and, in the page's, by thread. */
export function secondsByThread() {
  const seconds = new Map();
  const add = (name, fields) => {
    const spent = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    seconds.set(name, (seconds.get(name) ?? 0) + spent);
  };
  for (const { pid, kind } of ours()) {
    ignoreEnded(() => {
      if (kind !== "renderer") return add(`${kind} process`, stat(`/proc/${pid}/stat`));
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const task = `/proc/${pid}/task/${thread}`;
        ignoreEnded(() => add(`page: ${readFileSync(`${task}/comm`, "utf8").trim().replace(/[\d/#]+$/, "")}`, stat(`${task}/stat`)));
      }
    });
  }
  return seconds;
}

/** Resident bytes of the largest renderer. */
export function rendererBytes() {
  const size = ({ pid }) => {
    let bytes = 0;
    ignoreEnded(() => {
      bytes = 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
    });
    return bytes;
  };
  return Math.max(0, ...ours().filter(({ kind }) => kind === "renderer").map(size));
}

/** The processes below this one. */
function ours() {
  const parents = new Map();
  const kinds = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number)) {
    ignoreEnded(() => {
      parents.set(pid, Number(stat(`/proc/${pid}/stat`)[1]));
      kinds.set(pid, /--type=([\w-]+)/.exec(readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.[1] ?? "browser");
    });
  }
  const isOurs = (pid) => pid > 1 && (pid === process.pid || isOurs(parents.get(pid) ?? 0));
  return [...kinds].filter(([pid]) => pid !== process.pid && isOurs(pid)).map(([pid, kind]) => ({ pid, kind }));
}

/** The fields after the name, which may hold anything: state, parent, … */
function stat(path) {
  const text = readFileSync(path, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function ignoreEnded(read) {
  try {
    read();
  } catch (error) {
    if (error.code !== "ENOENT" && error.code !== "ESRCH") throw error;
  }
}
