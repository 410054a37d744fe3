// One script for both sides: the page runs it, and so does every Worker that the page starts from its text.

import { startPage } from "./app.ts";
import { serve } from "./worker.ts";

if (typeof document === "undefined") {
  serve();
} else {
  void startPage((document.currentScript as HTMLScriptElement).textContent ?? "");
}
