/** What the copies of all disks of a VM that is down are copies of: their sources as planned. */
import { retry } from '../operation/failures.ts';
import type { ImagePlan } from './plan.ts';

/** Equal for volumes that no process has written to in between. */
export const momentOf = ({ volumes }: ImagePlan): string[] =>
  volumes.map(({ identity, sizeBytes, modifiedNs }) => `${identity} ${sizeBytes} ${modifiedNs}`);

/**
 * The VM was started, or another process has written: another disk may be copied already.
 * @throws Retry `command-failed`
 */
export function assertMoment(id: string, asOf: readonly string[] | undefined, plan: ImagePlan) {
  if (asOf === undefined || asOf.join('\n') === momentOf(plan).join('\n')) return;
  throw retry('command-failed', {
    attempted: `copying ${id} with the other disks of its VM`,
    now: 'it was written to after all were planned, so the copies would be of several moments',
    next: 'Keep the VM down, then repeat the request',
  });
}
