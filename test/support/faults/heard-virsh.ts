/** Shows a test what the `virsh event` of an agent has heard. */
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('heard-virsh.bash', import.meta.url));

export interface HeardVirsh {
  /** Folder for the front of an agent's PATH. */
  folder: string;
  /** What the process has said so far. */
  heardBy(pid: number): string;
}

export function makeHeardVirsh(root: string): HeardVirsh {
  const folder = join(root, 'heard');
  mkdirSync(folder);
  symlinkSync(script, join(folder, 'virsh'));
  return {
    folder,
    heardBy(pid) {
      const file = join(folder, `heard.${pid}`);
      return existsSync(file) ? readFileSync(file, 'utf8') : '';
    },
  };
}
