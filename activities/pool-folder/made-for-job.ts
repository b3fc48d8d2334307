/** Which file of a pool was made for a job: a name in the job's own folder says so. */
import { join } from 'node:path';
import type { CopyTarget } from '../../workflows/chain/references.ts';
import { observeFile } from '../adapters/files/files.ts';
import { stagedFile } from './reservation.ts';

interface Made {
  to: Pick<CopyTarget, 'folder'>;
  jobId: string;
  /** Its final name. */
  name: string;
}

/**
 * Its `device:inode`, where its final name and the reserved one are one file. Null for any other
 * file of that name, and for every one once the reservation is gone.
 */
export async function madeForJob({ to, jobId, name }: Made): Promise<string | null> {
  const [named, ready] = await Promise.all([
    observeFile(join(to.folder, name)),
    observeFile(stagedFile(to.folder, jobId, name, 'ready')),
  ]);
  return named !== null && named.identity === ready?.identity ? named.identity : null;
}
