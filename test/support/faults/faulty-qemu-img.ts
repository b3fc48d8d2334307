/** A qemu-img whose commits meet EIO, for the front of a host agent's PATH. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('faulty-qemu-img.bash', import.meta.url));

export interface FaultyQemuImg {
  folder: string;
  /** From now on commits fail: the next one, or all until it is healed. */
  failCommits(on: 'read' | 'write' | 'flush', once: boolean): void;
  heal(): void;
}

export function makeFaultyQemuImg(root: string): FaultyQemuImg {
  const folder = join(root, 'faulty');
  mkdirSync(folder);
  symlinkSync(script, join(folder, 'qemu-img'));
  const fault = join(folder, 'fault');
  return {
    folder,
    failCommits: (on, once) => writeFileSync(fault, `${on} ${once ? 'once' : 'always'}\n`),
    heal: () => rmSync(fault, { force: true }),
  };
}
