/** Two SPM agents of one pool: one lease, and no effect of an agent that has lost it. */
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { leaseFile, observeFlockLease } from '../../../activities/pool-folder/flock-lease.ts';
import { decideUpdate } from '../../../workflows/operation/contract.ts';
import { sample } from '../../support/sample.ts';
import type { Fault } from '../../support/faults/faults.ts';
import { startRemoval } from '../../support/scenes/transfer/image-operations.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { expectMerged, untilPhase } from '../../support/scenes/merge-proofs.ts';
import {
  POOL,
  startScene,
  startSharedSystem,
  type Scene,
} from '../../support/scenes/merge-scene.ts';
import type { Instance } from '../../support/host/roles/running-roles.ts';
import { argumentsOf, isAlive, otherPids } from '../../support/host/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

let scene: Scene;
let count = 0;
const system = useSystem(() => startSharedSystem({ name: 'lease', config: { leaseSeconds: 3 } }));
const forTest = useEach();

const folder = () => join(system.host.pools, POOL);
const holderOf = (name: Instance) => `spm@h1:${system.rolePid(name)}`;
const untilHolds = (name: Instance) =>
  waitUntil(`${name} to hold the lease`, async () => {
    const lease = await observeFlockLease(folder());
    return lease?.isHeld && lease.holder === holderOf(name) && lease;
  });

/** A merge whose SPM agent meets this fault, while a second agent waits for the lease. */
async function mergeWith(fault: Fault) {
  scene = await forTest(startScene({ system, vm: `web${++count}`, guest: SMALL }));
  await system.killRole('spm');
  await system.startRole('spm', [fault]);
  const { version } = await untilHolds('spm');
  await system.startRole('spm2');
  const merge = await system.merge({ vm: scene.guest.name, disk: 'vda' });
  return { merge, version };
}
const deletions = async () => {
  const { name } = scene.guest;
  const lines = (await system.effects()).filter((line) => line.startsWith('storage.'));
  return lines.filter((line) => line.includes(name)).map((line) => line.split(' ')[0]);
};

describe('The lease of a pool', () => {
  it.each(sample('ways of a holder to die', ['kill-before', 'kill-after'] as const, 2))(
    'falls to the other agent when its holder dies in a deletion (%s)',
    async (action) => {
      const { merge, version } = await mergeWith({ effect: 'storage.unlink-volume', action });
      await expectMerged(scene, merge);
      expect(await untilHolds('spm2')).toMatchObject({ version: version + 1 });
    },
  );

  const deleting = ['storage.quarantine-volume', 'storage.unlink-volume'] as const;
  it.each(sample('effects of a frozen holder', deleting, 2))(
    'falls to the other agent when its holder is frozen before %s, which it never does',
    async (effect) => {
      const { merge } = await mergeWith({ effect, action: 'stop-before' });
      const frozen = system.rolePid('spm');
      await expectMerged(scene, merge);
      await untilHolds('spm2');
      // It was ended before the lease could go to another: there is nothing to wake up.
      expect(() => process.kill(frozen, 'SIGCONT')).toThrow('ESRCH');
      // The frozen agent had passed the tests' door, not the lease's: the other did it alone.
      const done = await deletions();
      expect(done.filter((name) => name === 'storage.unlink-volume')).toHaveLength(
        effect === 'storage.unlink-volume' ? 2 : 1,
      );
    },
  );

  it('stops its holder at the last moment when another agent has taken it', async () => {
    scene = await forTest(startScene({ system, vm: `web${++count}`, guest: SMALL }));
    await system.killRole('spm');
    await system.startRole('spm', [{ effect: 'storage.unlink-volume', action: 'stop-before' }]);
    const lease = await untilHolds('spm');
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda' });
    await system.roleStopped('spm');
    const files = await scene.files();
    const taken = { ...lease, version: lease.version + 1, holder: 'spm@elsewhere:1' };
    await writeFile(leaseFile(folder()), JSON.stringify(taken));
    system.signalRole('spm', 'SIGCONT');
    // The same agent may have the lease again, as a new holder, and then the deletion goes on.
    const again = await waitUntil('a new version', async () => {
      const now = await observeFlockLease(folder());
      return now?.isHeld && now.version > taken.version && now;
    });
    expect(again.holder).toBe(holderOf('spm'));
    expect(files.some((name) => name.startsWith('.blockflow/'))).toBe(true);
    await expectMerged(scene, merge);
  });

  it('is waited for, and the operation says so, while no agent has it', async () => {
    scene = await forTest(startScene({ system, vm: `web${++count}`, guest: SMALL }));
    await system.killRole('spm');
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda' });
    const { away } = await untilStatus(
      merge,
      'an agent that is unavailable',
      (s) => s.away !== null,
    );
    expect(away).toMatch(new RegExp(`the agent of spm-${POOL} does not answer`));
    await system.startRole('spm');
    await expectMerged(scene, merge);
  });
});

describe('A machine that is suspended under load', () => {
  it('keeps its agents and its lease, and its merge goes on', async () => {
    scene = await forTest(startScene({ system, vm: `web${++count}`, guest: SMALL }));
    const { name: vm } = scene.guest;
    const merge = await system.merge({ vm, disk: 'vda', waitForDecision: true });
    await untilPhase(merge, 'waiting for a decision');
    const { version } = await untilHolds('spm');
    const agent = system.rolePid('spm');
    // The watchdog wakes up first, which is the worst case.
    const suspended = [watchdogOf(agent), agent, system.rolePid('host')];
    for (const pid of suspended) process.kill(pid, 'SIGSTOP');
    // Its heartbeat is missed after 10 s, long after the 3 s of the watchdog.
    await waitUntil('the step that waits to be given up', async () => {
      const { pendingActivities } = (await merge.describe()).raw;
      return pendingActivities?.some(({ attempt }) => (attempt ?? 1) > 1);
    });
    const load = await forTest(startLoad());
    for (const pid of suspended) process.kill(pid, 'SIGCONT');
    await merge.executeUpdate(decideUpdate, { args: ['pivot'] });
    await waitUntil('the merge, or the agent, to end', async () => {
      return !isAlive(agent) || (await merge.describe()).status.name !== 'RUNNING';
    });
    load.close();
    expect(suspended.filter((pid) => !isAlive(pid))).toEqual([]);
    await expectMerged(scene, merge);
    expect(await untilHolds('spm')).toMatchObject({ version });
  });
});

function watchdogOf(agent: number): number {
  const pid = otherPids().find((other) => {
    const [, script = '', watched] = argumentsOf(other);
    return script.endsWith('/lease-watchdog.bash') && watched === String(agent);
  });
  if (pid === undefined) throw new Error('the agent has no watchdog');
  return pid;
}

/** Four processes that compute for each processor. */
function startLoad() {
  const processes = Array.from({ length: 4 * availableParallelism() }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );
  return Promise.resolve({ close: () => processes.forEach((one) => one.kill('SIGKILL')) });
}

describe('A pool whose end is no matter of the others', () => {
  const OTHER = 'other';
  const leaseOf = (folder: string) =>
    waitUntil(`the lease of ${folder}`, async () => {
      const lease = await observeFlockLease(folder);
      return lease?.isHeld && lease;
    });
  const untilFree = (folder: string) =>
    waitUntil(`the lease of ${folder} to be free`, async () => {
      return (await observeFlockLease(folder))?.isHeld === false;
    });

  it('is served again after it went in a deletion; the others are all along', async () => {
    await system.host.definePool(OTHER);
    const volume = `${OTHER}.qcow2`;
    const file = join(system.host.pools, OTHER, volume);
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
    await system.killRole('spm');
    await system.startRole('spm', [{ effect: 'storage.unlink-volume', action: 'hang-before' }]);
    const removal = await startRemoval(system, { pool: OTHER, volume, format: 'qcow2' });
    await waitUntil('it to be deleted', async () =>
      (await system.effects()).some((line) => /^storage.unlink-volume .*other/.test(line)),
    );
    // Of the agent that deletes: the one before it may have had the lease until then.
    const { version } = await leaseOf(join(system.host.pools, OTHER));
    const agent = system.rolePid('spm');
    await system.host.virsh('pool-destroy', OTHER);
    await untilFree(join(system.host.pools, OTHER));
    scene = await forTest(startScene({ system, vm: `web${++count}`, guest: SMALL }));
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda' });
    await expectMerged(scene, merge);
    await system.host.virsh('pool-start', OTHER);
    expect(await removal.result()).toMatchObject({ outcome: 'removed' });
    expect(await leaseOf(join(system.host.pools, OTHER))).toMatchObject({ version: version + 1 });
    expect(system.rolePid('spm')).toBe(agent);
    await system.host.virsh('pool-destroy', OTHER);
    await system.host.virsh('pool-undefine', OTHER);
  });

  it('is another one when it is redefined in another folder', async () => {
    const before = await system.host.definePool('wandering');
    await leaseOf(before);
    await system.host.virsh('pool-destroy', 'wandering');
    await system.host.virsh('pool-undefine', 'wandering');
    const after = await system.host.definePool('wandering', join(system.host.pools, 'elsewhere'));
    expect(await leaseOf(after)).toMatchObject({ version: 1, holder: holderOf('spm') });
    await untilFree(before);
  });
});
