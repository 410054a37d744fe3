// A browser with the page in it, used the way a person would use it.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Browser, type BrowserContext, type Page, chromium } from "playwright-core";
import type { Report } from "../page/messages.ts";

export const PAGE = resolve("dist/msgvault-verify.html");
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

let browser: Promise<Browser> | undefined;

export const launch = (): Promise<Browser> =>
  (browser ??= chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] }));

export async function quit(): Promise<void> {
  await (await browser)?.close();
}

/** Where the page comes from: a double click, or a web server. */
export type Origin = "file" | "http";

export interface OpenedPage {
  page: Page;
  context: BrowserContext;
  /** Every request that the page tried, in order. */
  requests: string[];
  /** Every request that the web server received. */
  served: string[];
  /** Everything that the page complained about. */
  complaints: string[];
  close(): Promise<void>;
}

export async function open(origin: Origin, before?: (page: Page) => Promise<unknown>): Promise<OpenedPage> {
  if (origin === "file") return openAt(`file://${PAGE}`, before);
  const served: string[] = [];
  const server = await serve(served);
  const opened = await openAt(server.url, before);
  return { ...opened, served, close: async () => {
    await opened.close();
    server.close();
  } };
}

/** The page as offered by somebody else. */
export async function openAt(url: string, before: (page: Page) => Promise<unknown> = async () => {}): Promise<OpenedPage> {
  const context = await (await launch()).newContext({ acceptDownloads: true });
  const page = await context.newPage();
  const requests: string[] = [];
  const complaints: string[] = [];
  context.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await before(page);
  await page.goto(url);
  await page.waitForSelector("body[data-ready]");
  return { page, context, requests, served: [], complaints, close: () => context.close() };
}

/** A web server that has the page and nothing else. */
export async function serve(served: string[]): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    served.push(request.url ?? "");
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(readFileSync(PAGE));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  // A test that fails before it closes its page must not keep the runner waiting.
  server.unref();
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return { url: `http://127.0.0.1:${port}/verify`, close: () => server.close() };
}

/** Chooses a folder with the input. */
export async function choose(page: Page, folder: string): Promise<void> {
  await page.setInputFiles("#input", folder);
  await page.waitForSelector("#repository:not([hidden]), #status[class='bad'], #status[class='warning']");
}

/** Drops a real folder onto the page. */
export async function drop(page: Page, ...folders: string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: folders, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const) {
    await session.send("Input.dispatchDragEvent", { type, x: 300, y: 200, data });
  }
  await page.waitForSelector("#repository:not([hidden]), #status[class='bad'], #status[class='warning']");
}

export interface Wanted {
  scope?: "latest" | "chosen" | "all";
  depth?: "quick" | "full";
}

/** Verifies what is open and waits for the verdict. */
export async function verify(page: Page, { scope = "all", depth = "full" }: Wanted = {}): Promise<void> {
  await page.check(`input[name=scope][value=${scope}]`);
  await page.check(`input[name=depth][value=${depth}]`);
  await page.click("#verify button[type=submit]");
  await page.waitForSelector("#verdict:not([hidden])");
  await page.waitForSelector("body:not([data-running])");
}

/** The report, as a person saves it. */
export async function report(page: Page): Promise<Report & { verified_at: string }> {
  return JSON.parse(await download(page, () => page.click("text=Save report (JSON)")).then((bytes) => bytes.toString()));
}

/** A script that lets `free` checks through and holds back all others for ever, as a dead disk would. It says so once
    the free ones have been answered. */
export const holdChecks = (free: number) => `{
  const post = Worker.prototype.postMessage;
  let left = ${free}, unanswered = ${free}, held = false;
  const tell = () => { if (held && unanswered === 0) document.body.dataset.held = "true"; };
  Worker.prototype.postMessage = function (message, ...rest) {
    if (message.call === "check" && left-- <= 0) {
      held = true;
      tell();
      return;
    }
    if (message.call === "check") this.addEventListener("message", (event) => {
      if (event.data.id === message.id && !("progress" in event.data)) unanswered -= 1, tell();
    });
    post.call(this, message, ...rest);
  };
}`;

/** A script that makes the Worker with the first check die. */
export const DYING_CHECK = `{
  const post = Worker.prototype.postMessage;
  let first = true;
  Worker.prototype.postMessage = function (message, ...rest) {
    if (message.call === "check" && first) {
      first = false;
      this.dispatchEvent(new ErrorEvent("error", { message: "out of memory", cancelable: true }));
    } else post.call(this, message, ...rest);
  };
}`;

/** The bytes of what a click downloads. */
export async function download(page: Page, click: () => Promise<void>): Promise<Buffer> {
  const [started] = await Promise.all([page.waitForEvent("download"), click()]);
  return readFileSync(await started.path());
}
