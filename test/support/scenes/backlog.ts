/** A guest that writes faster than the target of its job takes after READY. */
import { statusQuery } from '../../../workflows/kinds.ts';
import type { Handle } from './transfer/image-operations.ts';
import { slowDown } from '../host/slow-node.ts';
import type { System } from '../host/system.ts';
import { waitUntil } from '../wait-until.ts';

const KIB = 2 ** 10;

/** Longest suspension that is asked for, and what a loaded machine adds. What is left takes 8 s. */
export const SOON_MS = 2000;

/** @returns once it has left what takes seconds: lets it write as fast as it can, or as is said */
export async function fallBehind(
  { host }: System,
  { vm, disk, target }: { vm: string; disk: string; target: string },
): Promise<(bytesPerSecond?: number) => Promise<void>> {
  const setRate = await slowDown(host, vm, target, 64 * KIB);
  await waitUntil('what is left', async () => {
    const raw = await host.virsh('blockjob', vm, disk, '--raw');
    const number = (name: string) => Number(new RegExp(`${name}=(\\d+)`).exec(raw)?.[1]);
    return number('end') - number('cur') > 512 * KIB;
  });
  return (bytesPerSecond = 0) => setRate(bytesPerSecond);
}

/** @returns for which the guest was suspended in vain, in milliseconds */
export async function missedStall(handle: Handle<unknown>): Promise<number> {
  let note: string | null = null;
  await waitUntil('a suspension in vain', async () => {
    note = (await handle.query(statusQuery)).note;
    return note?.includes('not READY after') ?? false;
  });
  return Number(/suspended for (\d+) ms/.exec(note ?? '')?.[1]);
}
