/** What a user does to a VM that is down while an operation on its disk is under way. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { armFault } from '../../support/faults/faults.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  digests,
  expectNothingLeft,
  inVault,
  recordOf,
  effectsOn,
  removalOf,
  startMove,
  startMoveSystem,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
} from '../../support/guest/shut-off-vm.ts';
import { slowMove, unlimit } from '../../support/scenes/transfer/slow-move.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'meanwhile' }));

const images = () => join(system.host.pools, POOL);
const virsh = (...args: string[]) => system.host.virsh(...args);

describe('A snapshot made while the image is copied', () => {
  it('follows the move, although the plan did not know it', async () => {
    const { file, before, move } = await slowMove(system, 'snapped');
    const other = await createImage(join(system.host.root, 'other.qcow2'));
    const disk = ['--config', '--sourcetype', 'file', '--subdriver', 'qcow2'];
    await virsh('attach-disk', 'snapped', other, 'vdb', ...disk);
    await virsh(
      ...['snapshot-create-as', 'snapped', 's3', '--disk-only'],
      ...['--diskspec', 'vda,snapshot=no'],
      ...['--diskspec', `vdb,snapshot=external,file=${other}.s3`],
    );
    expect(await virsh('snapshot-dumpxml', 'snapped', 's3')).toContain(file);
    await unlimit(move);
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true, warnings: [] });
    const xml = await virsh('snapshot-dumpxml', 'snapped', 's3');
    expect(xml).toContain(inVault(system, file));
    expect(xml).not.toContain(file);
    expect(await recordOf(system, 'snapped')).toBe(inVault(system, file));
    expect(await removalOf(system, result)).toMatchObject({ outcome: 'removed' });
    expect(await poolFiles(images())).not.toContain('snapped.qcow2');
    expect(await digests([inVault(system, file)])).toEqual(before);
    await rm(inVault(system, file));
  });
});

/** A guest that writes nothing is saved: no file shows that it ran. */
async function startAndSave(vm: string): Promise<void> {
  await virsh('start', vm);
  await virsh('managedsave', vm);
  expect(await virsh('dominfo', vm)).toMatch(/Managed save: +yes/);
}

async function expectRefusedAsSaved(operation: WorkflowHandle): Promise<void> {
  const failed: unknown = await operation.result().catch((error: unknown) => error);
  const failure = failureDetails(failed);
  expect(failure).toMatchObject({ type: 'Refused', details: { code: 'managed-save' } });
}

/** The saved guest goes on, with the disk that it had. */
async function expectRestored(vm: string, chain: readonly string[], before: readonly string[]) {
  expect(await contents(chain)).toEqual(before);
  await virsh('start', vm);
  expect(await virsh('domstate', '--reason', vm)).toContain('running (restored)');
  const xml = await virsh('dumpxml', vm);
  for (const path of chain) expect(xml).toContain(path);
  await virsh('destroy', vm);
}

describe('A VM whose state is saved after the plan', () => {
  it('keeps the source of its move', async () => {
    const file = await createImage(join(images(), 'asleep.qcow2'));
    await defineShutOff(system.host, 'asleep', diskXml(file));
    const before = await contents([file]);
    armFault(system.trace, { effect: 'storage.reserve-image', action: 'kill-before' });
    const move = await startMove(system, { image: { kind: 'disk', vm: 'asleep', disk: 'vdb' } });
    await system.roleEnded('spm');
    await startAndSave('asleep');
    await system.startRole('spm');
    await expectRefusedAsSaved(move);
    expect(await effectsOn(system, 'libvirt.switch-disk-source', 'asleep')).toEqual([]);
    await expectNothingLeft(system, ['asleep.qcow2']);
    await expectRestored('asleep', [file], before);
  });

  it('keeps its chain when a merge has not begun to commit', async () => {
    const { chain } = await defineChain(system.host, 'early', images(), 2);
    const before = await contents(chain);
    armFault(system.trace, { effect: 'libvirt.record-job', action: 'kill-before' });
    const merge = await system.merge({ vm: 'early', disk: 'vdb' });
    await system.roleEnded('host');
    await startAndSave('early');
    await system.startRole('host');
    await expectRefusedAsSaved(merge);
    expect(await effectsOn(system, 'qemu-img.commit', 'early')).toEqual([]);
    await expectRestored('early', chain, before);
  });

  it('keeps its chain when a merge has not switched the record', async () => {
    const { chain } = await defineChain(system.host, 'late', images(), 2);
    const before = (await contents(chain))[1] as string;
    armFault(system.trace, { effect: 'qemu-img.commit', action: 'stop-after' });
    const merge = await system.merge({ vm: 'late', disk: 'vdb' });
    await system.roleStopped('host');
    await system.killRole('orchestrator');
    system.signalRole('host', 'SIGCONT');
    await waitUntil('the commit to be told', async () => {
      const { events } = await merge.fetchHistory();
      const types = events?.map((event) => event.activityTaskScheduledEventAttributes);
      const names = types?.flatMap((scheduled) => scheduled?.activityType?.name ?? []) ?? [];
      const done = events?.filter((event) => event.activityTaskCompletedEventAttributes) ?? [];
      return names.includes('ensureColdCommitted') && done.length === names.length;
    });
    await startAndSave('late');
    await system.startRole('orchestrator');
    await expectRefusedAsSaved(merge);
    expect(await effectsOn(system, 'libvirt.switch-disk-source', 'late')).toEqual([]);
    const [, top = ''] = chain;
    expect(await contents([top])).toEqual([before]);
    await expectRestored('late', chain, await contents(chain));
  });
});
