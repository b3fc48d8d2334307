/** Doubts that may settle by themselves: libvirtd may still be writing what QEMU has done. */
import { Context } from '@temporalio/activity';

const LOOK_EVERY_MS = 500;

/**
 * Looks until nothing is doubtful, at most so many times. Counted within one attempt: those in
 * which libvirtd did not answer at all say nothing.
 * @returns the doubts of the last look
 */
export async function untilSettled<T extends { doubts: string[] }>(
  looks: number,
  look: () => Promise<T>,
): Promise<T> {
  const context = Context.current();
  for (let left = looks; ; left--) {
    const found = await look();
    if (found.doubts.length === 0 || left <= 1) return found;
    context.heartbeat({ phase: 'looking again', note: found.doubts.join('; ') });
    await context.sleep(LOOK_EVERY_MS);
  }
}
