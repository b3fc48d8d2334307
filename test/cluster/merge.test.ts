/** A merge on a Temporal cluster of two servers and PostgreSQL, which are killed meanwhile. */
import { describe, expect, it } from '@jest/globals';
import { useCluster } from '../support/cluster/use-cluster.ts';
import type { Fault } from '../support/faults/faults.ts';
import { expectMerged, untilPhase } from '../support/scenes/merge-proofs.ts';
import { SLOW, untilCopying } from '../support/scenes/copying.ts';
import { startScene, type Scene } from '../support/scenes/merge-scene.ts';
import { useEach } from '../support/use.ts';
import { waitUntil } from '../support/wait-until.ts';

const PATIENCE_MS = 120_000;

const system = useCluster();
const forTest = useEach();
let count = 0;
const sceneOf = () => forTest(startScene({ system, vm: `web${++count}` }));
const diskOf = ({ guest }: Scene) => ({ vm: guest.name, disk: 'vda' });

/** Nothing was done a second time. */
async function expectOnce({ guest: { name } }: Scene): Promise<void> {
  const effects = (await system.effects()).filter((line) => line.includes(name));
  const names = effects.map((line) => line.split(' ')[0]);
  for (const effect of ['libvirt.start-commit', 'libvirt.pivot', 'storage.unlink-volume']) {
    expect(names.filter((name) => name === effect)).toEqual([effect]);
  }
}

const victims = {
  'the first server': () => system.cluster.servers[0],
  'the second server': () => system.cluster.servers[1],
  PostgreSQL: () => system.cluster.postgres,
};
type Victim = keyof typeof victims;
type Merge = Awaited<ReturnType<typeof system.merge>>;

/**
 * An agent has done something, and stopped before its report: it reports while it is not heard, or
 * after the server has given the attempt up and asks for a second one.
 */
async function strike(
  merge: Merge,
  victim: Victim,
  role: 'host' | 'spm',
  report: 'reported while it is dead' | 'given up meanwhile',
): Promise<void> {
  await system.roleStopped(role);
  await victims[victim]().kill();
  if (report === 'reported while it is dead') system.signalRole(role, 'SIGCONT');
  await victims[victim]().start();
  if (report === 'reported while it is dead') return;
  const attempts = async () => {
    const { raw } = await merge.describe();
    return raw.pendingActivities?.[0]?.attempt ?? 0;
  };
  const isGivenUp = async () => (await attempts()) > 1;
  await waitUntil('a second attempt', isGivenUp, { timeoutMs: PATIENCE_MS, intervalMs: 100 });
  system.signalRole(role, 'SIGCONT');
}

describe('On a cluster a merge goes on to its end', () => {
  it('while each server and PostgreSQL are killed in its copy, one after the other', async () => {
    const scene = await sceneOf();
    const merge = await system.merge({ ...diskOf(scene), bandwidthBytesPerSecond: SLOW });
    await untilCopying(scene);
    for (const server of system.cluster.servers) {
      await server.kill();
      // The other one answers for it.
      await untilPhase(merge, 'copying', PATIENCE_MS);
      await server.start();
    }
    await system.cluster.postgres.kill();
    await scene.guest.waitForAcks(50);
    await system.cluster.postgres.start();
    await untilPhase(merge, 'copying', PATIENCE_MS);
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
    await expectOnce(scene);
  });

  it.each(Object.keys(victims) as Victim[])(
    'when %s dies before its agents report what they did',
    async (name) => {
      const scene = await sceneOf();
      const stopAfter = (effect: Fault['effect']): Fault => ({ effect, action: 'stop-after' });
      await system.killRole('host');
      await system.killRole('spm');
      await system.startRole('host', [
        stopAfter('libvirt.start-commit'),
        stopAfter('libvirt.pivot'),
      ]);
      await system.startRole('spm', [stopAfter('storage.unlink-volume')]);
      const merge = await system.merge(diskOf(scene));
      await strike(merge, name, 'host', 'reported while it is dead');
      await strike(merge, name, 'host', 'given up meanwhile');
      await strike(merge, name, 'spm', 'given up meanwhile');
      await expectMerged(scene, merge);
      await expectOnce(scene);
    },
  );
});
