/** A qemu-storage-daemon that is killed at a write, for the front of a host agent's PATH. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('struck-daemon.bash', import.meta.url));

export interface StruckDaemon {
  folder: string;
  /** The next one dies at its n-th write. */
  killAtWrite(n: number): void;
  /** Whether it is still to come. */
  isArmed(): boolean;
}

export function makeStruckDaemon(root: string): StruckDaemon {
  const folder = join(root, 'struck');
  mkdirSync(folder);
  symlinkSync(script, join(folder, 'qemu-storage-daemon'));
  const strike = join(folder, 'strike');
  return {
    folder,
    killAtWrite: (n) => writeFileSync(strike, `${n}\n`),
    isArmed: () => existsSync(strike),
  };
}
