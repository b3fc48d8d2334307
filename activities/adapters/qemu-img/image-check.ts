/** `qemu-img check` of one image that no other process may have open. */
import { z } from 'zod';
import { CommandError, run } from '../process/command.ts';
import { count, parseJsonReply } from '../reply.ts';
import { reading } from './reading.ts';

/**
 * `leaks`: clusters that nothing refers to, which cost space and no data. `damaged`: it has errors.
 * `locked`: another process has it open, so nothing was looked at. `unreadable`: the check was not
 * completed.
 */
export type Soundness = 'sound' | 'leaks' | 'damaged' | 'locked' | 'unreadable';

const findings = z.object({
  'check-errors': count,
  corruptions: count.optional(),
  leaks: count.optional(),
});

/** Reads all metadata of a qcow2 image. */
export const checkImage = (path: string): Promise<Soundness> => check(path, []);

/** Frees leaked clusters, and changes nothing else. @returns how it is then */
export const repairLeaks = (path: string): Promise<Soundness> => check(path, ['-r', 'leaks']);

/** 0 sound, 2 damaged, 3 leaks: with all of these it reports. 1: the check was not completed. */
async function check(path: string, repair: readonly string[]): Promise<Soundness> {
  const args = ['check', '-f', 'qcow2', '--output=json', ...repair, path];
  let text: string;
  try {
    text = await run('qemu-img', args, repair.length === 0 ? await reading([path]) : {});
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (/Failed to get .* lock/.test(error.stderr)) return 'locked';
    if (error.exitCode === 1) return 'unreadable';
    if (error.exitCode !== 2 && error.exitCode !== 3) throw error;
    text = error.stdout;
  }
  const found = parseJsonReply(findings, `qemu-img check of ${path}`, text);
  if (found['check-errors'] > 0 || (found.corruptions ?? 0) > 0) return 'damaged';
  return (found.leaks ?? 0) > 0 ? 'leaks' : 'sound';
}
