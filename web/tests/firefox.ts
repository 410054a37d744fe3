// A stock Firefox, driven by WebDriver BiDi, which it speaks itself, so that no other program is needed.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { createInterface } from "node:readline";

export const FIREFOX = process.env["FIREFOX"] ?? "/usr/bin/firefox-esr";
export const hasFirefox = (): boolean => existsSync(FIREFOX);

type Parameters = { [name: string]: unknown };
type Listener = (event: Parameters) => void;

export class Firefox {
  private lastId = 0;
  private readonly waiting = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  private readonly listeners: [method: string, listener: Listener][] = [];

  private constructor(
    private readonly process: ChildProcess,
    private readonly profile: string,
    private readonly socket: WebSocket,
  ) {
    socket.onmessage = ({ data }) => this.take(JSON.parse(String(data)));
  }

  static async start(): Promise<Firefox> {
    const profile = mkdtempSync(join(tmpdir(), "msgvault-firefox-"));
    const preferences = {
      "browser.download.folderList": 2,
      "browser.download.dir": join(profile, "downloads"),
      "browser.download.useDownloadDir": true,
      "browser.shell.checkDefaultBrowser": false,
      "datareporting.policy.dataSubmissionEnabled": false,
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
    };
    const lines = Object.entries(preferences).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`);
    writeFileSync(join(profile, "user.js"), lines.join("\n"));
    const args = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0", "about:blank"];
    const process = spawn(FIREFOX, args, { stdio: ["ignore", "ignore", "pipe"] });
    const socket = new WebSocket(`${await address(process)}/session`);
    await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
    const firefox = new Firefox(process, profile, socket);
    await firefox.send("session.new", { capabilities: {} });
    await firefox.send("session.subscribe", { events: ["log.entryAdded", "browsingContext.downloadEnd", "network.beforeRequestSent"] });
    return firefox;
  }

  async quit(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill();
    await ended;
    rmSync(this.profile, { recursive: true, force: true });
  }

  send<Result = unknown>(method: string, params: Parameters): Promise<Result> {
    const id = ++this.lastId;
    return new Promise<Result>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  on(method: string, listener: Listener): void {
    this.listeners.push([method, listener]);
  }

  private take(message: { id?: number; result?: never; message?: string; method?: string; params?: Parameters }): void {
    for (const [method, listener] of this.listeners) if (method === message.method) listener(message.params ?? {});
    const waiting = this.waiting.get(message.id ?? -1);
    this.waiting.delete(message.id ?? -1);
    if (message.result !== undefined) waiting?.resolve(message.result);
    else waiting?.reject(new Error(message.message));
  }
}

/** The address at which it says that it listens. */
async function address(process: ChildProcess): Promise<string> {
  for await (const line of createInterface(process.stderr!)) {
    const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line);
    if (found) return found[1]!;
  }
  throw new Error("Firefox ended before it listened");
}

/** The page in a tab of Firefox. */
export class FirefoxTab {
  /** Everything that the page complained about. */
  readonly complaints: string[] = [];
  /** Every request that it tried. */
  readonly requests: string[] = [];

  private constructor(private readonly firefox: Firefox, private readonly context: string) {
    const own = (event: Parameters) => (event["context"] ?? (event["source"] as Parameters | undefined)?.["context"]) === context;
    firefox.on("log.entryAdded", (event) => {
      if (own(event) && event["level"] === "error") this.complaints.push(String(event["text"]));
    });
    firefox.on("network.beforeRequestSent", (event) => {
      if (own(event)) this.requests.push(String((event["request"] as Parameters)["url"]));
    });
  }

  static async open(firefox: Firefox, url: string): Promise<FirefoxTab> {
    const { context } = await firefox.send<{ context: string }>("browsingContext.create", { type: "tab" });
    const tab = new FirefoxTab(firefox, context);
    await firefox.send("browsingContext.navigate", { context, url, wait: "complete" });
    await tab.until("document.body.dataset.ready");
    return tab;
  }

  async close(): Promise<void> {
    await this.firefox.send("browsingContext.close", { context: this.context });
  }

  /** The value of an expression, which must be text, a number, a truth value or nothing. */
  async evaluate(expression: string): Promise<unknown> {
    type Answer = { result?: { value?: unknown }; exceptionDetails?: { text: string } };
    const target = { context: this.context };
    const answer = await this.firefox.send<Answer>("script.evaluate", { expression, target, awaitPromise: true });
    if (answer.exceptionDetails) throw new Error(`${expression}: ${answer.exceptionDetails.text}`);
    return answer.result?.value;
  }

  async until(condition: string): Promise<void> {
    await this.evaluate(`new Promise((done) => { const look = () => (${condition}) ? done() : setTimeout(look, 10); look(); })`);
  }

  async click(selector: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  /** The text of an element. */
  async text(selector: string): Promise<string> {
    return String(await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).textContent`));
  }

  /**
   * Chooses a folder with the input. BiDi hands out single files only, so the page is given their paths separately;
   * names are unique in a repository.
   */
  async choose(folder: string): Promise<void> {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name !== ".gitkeep");
    const path = (entry: (typeof files)[number]) => join(entry.parentPath, entry.name);
    const paths = Object.fromEntries(files.map((entry) => [entry.name, join(basename(folder), relative(folder, path(entry)))]));
    await this.evaluate(`void Object.defineProperty(File.prototype, "webkitRelativePath", {
      configurable: true,
      get() { return (${JSON.stringify(paths)})[this.name]; },
    })`);
    type Found = { nodes: { sharedId: string }[] };
    const locator = { type: "css", value: "#input" };
    const { nodes: [input] } = await this.firefox.send<Found>("browsingContext.locateNodes", { context: this.context, locator });
    const element = { sharedId: input!.sharedId };
    await this.firefox.send("input.setFiles", { context: this.context, element, files: files.map(path) });
    await this.until("!document.querySelector('#repository').hidden || document.querySelector('#status.bad')");
  }

  /** Verifies all in full and waits for the verdict. */
  async verify(): Promise<void> {
    await this.click("input[name=scope][value=all]");
    await this.click("#start");
    await this.until("!document.querySelector('#verdict').hidden && !document.body.dataset.running");
  }

  /** The bytes of what a click saves. */
  async download(selector: string): Promise<Buffer> {
    const ended = new Promise<Parameters>((resolve) => this.firefox.on("browsingContext.downloadEnd", resolve));
    await this.click(selector);
    return readFileSync(String((await ended)["filepath"]));
  }
}
