/** Any process of ours, libvirtd and Temporal die at any time: the operation continues when they are back. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { expectMerged, SLOW, untilCopying, untilStatus } from '../support/merge-proofs.ts';
import { startScene, startSharedSystem, type Scene } from '../support/merge-scene.ts';
import type { System } from '../support/system.ts';
import type { Fault } from '../support/faults.ts';

let system: System;
let scene: Scene;
let count = 0;
const sceneOf = async () => (scene = await startScene({ system, vm: `web${++count}` }));
const disk = () => ({ vm: scene.guest.name, disk: 'vda' });

beforeAll(async () => {
  system = await startSharedSystem();
});
afterEach(async () => {
  await system.revive();
  await scene.close();
});
afterAll(() => system.close());

const victims = {
  'the orchestrator': {
    kill: () => system.killRole('orchestrator'),
    start: () => system.startRole('orchestrator'),
  },
  'the host agent': {
    kill: () => system.killRole('host'),
    start: () => system.startRole('host'),
  },
  'the SPM agent': {
    kill: () => system.killRole('spm'),
    start: () => system.startRole('spm'),
  },
  libvirtd: {
    kill: () => system.host.killLibvirtd(),
    start: () => system.host.startLibvirtd(),
  },
  'the Temporal server': {
    kill: () => system.killTemporal(),
    start: () => system.startTemporal(),
  },
};
type Victim = keyof typeof victims;

describe('A merge goes on to its end', () => {
  it.each(Object.keys(victims) as Victim[])('when %s is killed while it copies', async (name) => {
    await sceneOf();
    const merge = await system.merge({ ...disk(), bandwidthBytesPerSecond: SLOW });
    await untilCopying(scene);
    await victims[name].kill();
    await scene.guest.waitForAcks(50);
    await victims[name].start();
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });

  it.each(['kill-before', 'kill-after'] as const)(
    'when its agents die by %s at every effect of start, pivot, deletion and end',
    async (action) => {
      await sceneOf();
      const at = (effect: Fault['effect']): Fault[] => [{ effect, action }];
      await system.killRole('host');
      await system.killRole('spm');
      await system.startRole('host', at('libvirt.start-commit'));
      await system.startRole('spm', at('storage.quarantine-volume'));
      const merge = await system.merge(disk());
      await system.roleEnded('host');
      await system.startRole('host', at('libvirt.pivot'));
      await system.roleEnded('host');
      await system.startRole('host', at('libvirt.forget-job'));
      await system.roleEnded('spm');
      await system.startRole('spm', at('storage.unlink-volume'));
      await system.roleEnded('spm');
      await system.startRole('spm');
      await system.roleEnded('host');
      await system.startRole('host');
      await expectMerged(scene, merge);
    },
  );
});
