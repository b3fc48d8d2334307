/** One `blockflow up` for a state folder. */
import { join } from 'node:path';
import { lockFile } from '../../activities/adapters/process/file-lock.ts';

/**
 * Takes the lock of the folder and holds it as long as this process lives.
 * @returns null when another process has it.
 */
export async function lockState(stateDir: string): Promise<{ release(): Promise<void> } | null> {
  const file = await lockFile(join(stateDir, 'up.lock'));
  return file && { release: () => file.close() };
}
