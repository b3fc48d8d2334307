/** A pool without space, and a copy that waits for it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { waitUntil } from '../wait-until.ts';

const fillerIn = (folder: string) => join(folder, 'filler');

/** Leaves `freeBytes` on the file system of the pool, or less while something is copied to it. */
export async function fill(folder: string, freeBytes: number): Promise<void> {
  const { stdout } = await execa('stat', ['-f', '-c', '%a %S', folder]);
  const [blocks = 0, size = 0] = stdout.split(' ').map(Number);
  const length = `${blocks * size - freeBytes}`;
  await execa('fallocate', ['-l', length, fillerIn(folder)], { reject: false });
}

export const unfill = (folder: string) => rm(fillerIn(folder));

/** Waits until the copy under way says that it waits for space. */
export async function untilOutOfSpace(move: WorkflowHandle): Promise<void> {
  await waitUntil('the copy to wait for space', async () => {
    const { raw } = await move.describe();
    const beats = (raw.pendingActivities ?? []).flatMap((a) => a.heartbeatDetails?.payloads ?? []);
    return beats.some(({ data }) => Buffer.from(data ?? []).includes('waiting for space'));
  });
}
