// Dialogs of the browser that a person may close.

/** Nothing, of a dialog that was closed: whoever does so has changed their mind, and nothing failed. */
export function unlessCancelled(error: unknown): undefined {
  if (error instanceof DOMException && error.name === "AbortError") return undefined;
  throw error;
}
