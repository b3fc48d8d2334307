/** `up.json` of this process, which clients read by `worker/environment`. */
import { rmSync } from 'node:fs';
import { writeWhole } from '../../activities/adapters/files/files.ts';
import { startTicksOf, upFilePath, type UpFile } from '../environment/up-file.ts';

/** A reader sees the old file or the new one. */
export async function writeUpFile(
  stateDir: string,
  facts: Omit<UpFile, 'pid' | 'startTicks'>,
): Promise<void> {
  const whole: UpFile = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? '', ...facts };
  const text = `${JSON.stringify(whole, null, 2)}\n`;
  await writeWhole(upFilePath(stateDir), text, { ifThere: 'replace' });
}

export const removeUpFile = (stateDir: string) => rmSync(upFilePath(stateDir), { force: true });
