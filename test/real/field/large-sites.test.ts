/**
 * Sites as large as people have them, at sizes that a test can make: what works on a small one
 * works there. How long it takes is in docs/proof/bench.md (`large-sites`).
 */
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { isNewer } from '../../support/host/libvirt-version.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { defineDeep, defineMany, defineWide, fillPool } from '../../support/scenes/large-site.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  removalOf,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { deleteSnapshot, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const system = useSystem(() => startMoveSystem({ name: 'large' }));
const blockflow = use('the client', () => connectTo(system));
const inPool = (name = '') => join(system.host.pools, POOL, name);
const diskOf = (vm: string) => ({ kind: 'disk', vm, disk: 'vda' }) as const;

/** Attempts that each activity of a workflow took, by its name. */
async function attemptsOf(workflow: WorkflowHandle): Promise<Map<string, number>> {
  const { events = [] } = await workflow.fetchHistory();
  const names = new Map<string, string>();
  const attempts = new Map<string, number>();
  for (const { eventId, ...event } of events ?? []) {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) names.set(String(eventId), scheduled.activityType?.name ?? '');
    const started = event.activityTaskStartedEventAttributes;
    const name = names.get(String(started?.scheduledEventId));
    if (name !== undefined)
      attempts.set(name, Math.max(attempts.get(name) ?? 0, started?.attempt ?? 0));
  }
  return attempts;
}

describe('Beside 100 VMs, in a pool of 4000 files', () => {
  beforeAll(async () => {
    await defineMany(system.host, inPool(), 100);
    await fillPool(inPool(), 4000);
  });

  it('a clone is found that stands on the base, also below the pool', async () => {
    const [base = ''] = await defineDeep(system.host, 'cloned', inPool(), 2);
    await mkdir(inPool('clones'));
    const clone = await createImage(inPool('clones/of-a-base'), { below: base });
    const refusal = await failureOf(merged(system, { vm: 'cloned', disk: 'vda' }));
    expect(refusal).toMatchObject({ code: 'shared-base', now: expect.stringContaining(clone) });
    await rm(clone);
    expect(await merged(system, { vm: 'cloned', disk: 'vda' })).toMatchObject({
      chainAfter: [base],
    });
  });

  it('a VM is snapshotted, merged, moved and removed', async () => {
    const [base = ''] = await defineDeep(system.host, 'one', inPool(), 1);
    await takeSnapshot(system, { vm: 'one', name: 's1' });
    const { snapshots } = await blockflow.snapshots('one');
    expect(snapshots).toMatchObject([{ name: 's1' }]);
    await deleteSnapshot(system, { vm: 'one', name: 's1' });
    const moved = await (await startMove(system, { image: diskOf('one'), to: VAULT })).result();
    await removalOf(system, moved);
    await system.host.virsh('undefine', 'one');
    const volume = { pool: VAULT, volume: basename(base), format: 'qcow2' } as const;
    await (await blockflow.remove(volume)).result();
  });
});

describe('A chain of 200 layers', () => {
  it('merges, and has a snapshot once it is shorter', async () => {
    const chain = await defineDeep(system.host, 'deep', inPool(), 200);
    // libvirt 11.3 starts no VM on so many ("nesting too deep").
    if (!(await isNewer(system.host))) await system.host.virsh('start', 'deep', '--paused');
    const refusal = await failureOf(takeSnapshot(system, { vm: 'deep', name: 's1' }));
    expect(refusal).toMatchObject({ type: 'Refused', code: 'too-many-layers' });
    const shorter = await merged(system, { vm: 'deep', disk: 'vda', shallow: true });
    expect(shorter.chainAfter).toEqual(chain.slice(0, -1));
    await takeSnapshot(system, { vm: 'deep', name: 's1' });
    const one = await merged(system, { vm: 'deep', disk: 'vda' });
    expect(one.chainAfter).toEqual(chain.slice(0, 1));
    await system.host.virsh('destroy', 'deep').catch(() => '');
  });

  it('is planned to be moved without an attempt that falls silent', async () => {
    await defineDeep(system.host, 'moves', inPool(), 200);
    const move = await startMove(system, { image: diskOf('moves'), to: VAULT });
    await untilStatus(move, 'to copy', ({ phase }) => phase === 'copying');
    await move.cancel();
    await move.result().catch(() => undefined);
    expect((await attemptsOf(move)).get('observeImagePlan')).toBe(1);
  });
});

describe('A VM with ten disks', () => {
  it('is snapshotted, and moved', async () => {
    const disks = await defineWide(system.host, 'wide', inPool(), 10);
    const taken = await takeSnapshot(system, { vm: 'wide', name: 's1' });
    expect(taken.disks).toHaveLength(disks.length);
    await deleteSnapshot(system, { vm: 'wide', name: 's1' });
    const moved = await (await blockflow.moveDisks({ vm: 'wide', to: VAULT })).result();
    expect(moved.disks).toHaveLength(disks.length);
  });
});
