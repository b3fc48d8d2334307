/** The file that the active layer of a running VM is mirrored into. */
import { copyExtended, copyRights } from '../../../adapters/files/attributes.ts';
import { observeFile, renameOnce } from '../../../adapters/files/files.ts';
import { withOwnedFile } from '../../../adapters/files/owned-folder.ts';
import { CommandError } from '../../../adapters/process/command.ts';
import { createEmpty, emptyFault } from '../../../adapters/qemu-img/empty-image.ts';
import type { ImageJob } from '../../../../workflows/transfer/activities.ts';
import { bug, noSpace, retry } from '../../../../workflows/operation/failures.ts';
import { assertReserved } from '../../../pool-folder/presence.ts';
import type { HostDeps } from '../../deps.ts';
import { formatOf } from '../../../../workflows/transfer/copied.ts';
import { assertOnCopyBelow } from '../copies.ts';
import { topFile, topOf } from './look.ts';

/**
 * Empty, with the header that its copy is to have: libvirt and QEMU look at none of it. Complete
 * and durable once it is called `.ready`; what the mirror writes there is none of its business.
 */
export async function ensureTopCreated(deps: HostDeps, job: ImageJob): Promise<void> {
  await assertReserved(job, `creating the copy of ${topOf(job).path}`);
  const [part, ready] = [topFile(job, 'part'), topFile(job, 'ready')];
  if (await observeFile(ready)) return;
  await deps.effect('image.create-top', ready, async () => {
    // Under a mirror that has begun meanwhile it would be emptied.
    if (await observeFile(ready)) return;
    await create(job, part);
    await renameOnce(part, ready);
  });
}

async function create(job: ImageJob, part: string): Promise<void> {
  const top = topOf(job);
  const { path } = top;
  const { live, to } = job.plan;
  if (!live) throw bug(`a top for ${path}, whose VM does not run`);
  if (live.backing) assertOnCopyBelow(job.plan, job.plan.volumes.length - 1, live.backing);
  const shape = { ...live, format: formatOf(top) };
  const attempted = `creating the copy of ${path}`;
  try {
    await createEmpty(part, shape);
  } catch (error) {
    if (!(error instanceof CommandError) || !/No space left/.test(error.stderr)) throw error;
    throw noSpace({
      attempted,
      now: `pool ${to.pool} has no space; the VM runs on with its source`,
      next: 'Make space there; blockflow goes on by itself',
    });
  }
  const fault = await emptyFault(part, shape);
  if (fault !== null) {
    throw retry('command-failed', {
      attempted,
      now: `${part} is not what was asked for: ${fault}`,
      next: "Look at that disk and the host's kernel log; blockflow tries again",
    });
  }
  await withOwnedFile(part, async (file) => {
    await copyRights(path, file);
    // The plan says where they cannot follow.
    await copyExtended(path, file).catch(() => undefined);
    await file.sync();
  });
}
