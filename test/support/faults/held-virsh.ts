/** Stops the pivot script before one of its commands: a test kills a process at that moment. */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { argumentsOf, killAndWait, openPathsOf, otherPids } from '../host/processes.ts';
import { waitUntil } from '../wait-until.ts';

const script = fileURLToPath(new URL('held-virsh.bash', import.meta.url));

export interface HeldVirsh {
  /** Folder for the front of an agent's PATH. */
  folder: string;
  /** Plans the stop before the next line of an interactive virsh that contains `text`. */
  holdBefore(text: string): void;
  /** Resolves when virsh stands there. */
  untilHeld(): Promise<void>;
  release(): void;
}

export function makeHeldVirsh(root: string): HeldVirsh {
  const folder = join(root, 'held');
  const hold = join(folder, 'hold');
  mkdirSync(folder);
  symlinkSync(script, join(folder, 'virsh'));
  return {
    folder,
    holdBefore: (text) => writeFileSync(hold, text),
    untilHeld: async () => {
      await waitUntil('virsh to stand at its hold', () => existsSync(`${hold}.reached`), {
        timeoutMs: 60_000,
      });
    },
    release() {
      rmSync(hold, { force: true });
      rmSync(`${hold}.reached`, { force: true });
    },
  };
}

/** SIGKILL to every process of a VM's pivot script. */
export async function killPivotScript(uuid: string): Promise<void> {
  await killAndWait(signalPivotScript(uuid, 'SIGKILL'));
}

/** To bash and virsh, which are one process group. @returns the pid of its leader */
export function signalPivotScript(uuid: string, signal: NodeJS.Signals): number {
  const leader = otherPids().find(
    (pid) =>
      argumentsOf(pid)[1]?.endsWith('safe-pivot.bash') &&
      openPathsOf(pid).some((path) => path.endsWith(`pivot-${uuid}.lock`)),
  );
  if (leader === undefined) throw new Error(`no pivot script runs for ${uuid}`);
  process.kill(-leader, signal);
  return leader;
}
