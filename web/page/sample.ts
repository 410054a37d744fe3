// The sample repository in the page, whole or with one byte flipped.

import { embedded } from "./embedded.ts";
import { type Folder, fromFiles } from "./folder.ts";

/** Files one behind the other: what they are called, how long they are, then their bytes. */
async function sampleFiles(): Promise<[path: string, bytes: Uint8Array<ArrayBuffer>][]> {
  const all = await embedded("sample-files");
  const headLength = new DataView(all).getUint32(0, true);
  const head: [path: string, length: number][] = JSON.parse(new TextDecoder().decode(new Uint8Array(all, 4, headLength)));
  let offset = 4 + headLength;
  return head.map(([path, length]) => {
    const bytes = new Uint8Array(all.slice(offset, offset + length));
    offset += length;
    return [path, bytes];
  });
}

/** The sample; with `flip`, one byte of a blob in its newest pack is another, and it is said which. */
export async function sample(flip: boolean): Promise<{ folder: Folder; flipped: string | undefined }> {
  const files = await sampleFiles();
  const pack = files.filter(([path]) => path.endsWith(".mvpack")).at(-1);
  let flipped: string | undefined;
  if (flip && pack) {
    const [path, bytes] = pack;
    // Behind the six bytes of the header the first blob begins.
    const at = 6 + Math.floor(Math.random() * 100);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    flipped = `One bit of byte ${at} of ${path} was flipped. Nobody would notice, until it is needed.`;
  }
  const named = files.map(([path, bytes]) => [path, new File([bytes], path.split("/").at(-1) ?? path)] as const);
  return { folder: fromFiles(flip ? "sample, damaged" : "sample", named), flipped };
}
