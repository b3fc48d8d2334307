/**
 * The limit that an operation was given last while it copied, beside the other files of its daemon.
 * What its copy was scheduled with may be older by the time it is started, or started again.
 */
import { readFile } from '../files/calls.ts';
import { z } from 'zod';
import { writeWhole } from '../files/files.ts';
import { count } from '../reply.ts';

const told = z.object({ runId: z.string(), bytesPerSecond: count });
const fileOf = (state: string) => `${state}.limit`;

/** @param runId of the workflow that was told; an earlier run's limit is not this one's */
export async function writeCopyLimit(
  state: string,
  limit: { runId: string; bytesPerSecond: number },
): Promise<void> {
  await writeWhole(fileOf(state), JSON.stringify(limit), { ifThere: 'replace' });
}

/** Bytes per second, 0 for no limit; null when this run was given none while it copied. */
export async function readCopyLimit(state: string, runId: string): Promise<number | null> {
  const text = await readFile(fileOf(state), 'utf8').catch(() => 'null');
  const { data } = told.safeParse(JSON.parse(text));
  return data?.runId === runId ? data.bytesPerSecond : null;
}
