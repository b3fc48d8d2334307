/** What several parts of the bench measure with, and begin again from. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { takeExternalSnapshot } from '../support/guest/disks/snapshots.ts';
import { POOL, type Scene } from '../support/scenes/merge-scene.ts';

/** @returns how long it took, in milliseconds */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** The most memory that the process has had so far, in MiB. */
export async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

let snapshots = 0;

/** A new active layer with so many writes of its guest in it. @returns its path */
export async function snapshotAgain(
  { system, guest }: Pick<Scene, 'system' | 'guest'>,
  writes: number,
): Promise<string> {
  const file = join(system.host.pools, POOL, `${guest.name}-again${++snapshots}.qcow2`);
  await takeExternalSnapshot(system.host, guest.name, { file });
  await guest.waitForAcks(writes);
  return file;
}
