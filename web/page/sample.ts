// The sample repository in the page, whole or with some of its bytes flipped.

import { embedded } from "./embedded.ts";
import { type Folder, fromFiles } from "./folder.ts";

type Named = [path: string, bytes: Uint8Array<ArrayBuffer>];

export class Sample {
  private constructor(
    private readonly files: Named[],
    /** What was flipped last, in a sentence. */
    readonly flipped: string | undefined,
  ) {}

  static async load(): Promise<Sample> {
    return new Sample(await embeddedFiles(), undefined);
  }

  /** The sample with one more byte changed, somewhere in its newest pack, all of which the latest snapshot needs. */
  withFlippedByte(): Sample {
    const newest = this.files.filter(([path]) => path.endsWith(".mvpack")).at(-1)!;
    const [path, whole] = newest;
    const bytes = whole.slice();
    const at = Math.floor(Math.random() * bytes.length);
    // A second flip in the same place must not mend it.
    bytes[at]! += 1;
    const changed = this.files.map((file): Named => (file === newest ? [path, bytes] : file));
    return new Sample(changed, `Byte ${at.toLocaleString("en")} of ${path} was flipped.`);
  }

  folder(): Folder {
    const file = ([path, bytes]: Named) => [path, new File([bytes], path.split("/").at(-1) ?? path)] as const;
    return fromFiles(this.flipped === undefined ? "sample" : "sample, damaged", this.files.map(file));
  }
}

/** The files one after another: first all their names and lengths, then their bytes. */
async function embeddedFiles(): Promise<Named[]> {
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
