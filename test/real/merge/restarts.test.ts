/** Our processes, libvirtd and Temporal die at any time: the merge goes on when they are back. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { sample } from '../../support/sample.ts';
import type { Fault } from '../../support/faults/faults.ts';
import { untilAttempt } from '../../support/faults/strike.ts';
import { makeHeardVirsh } from '../../support/faults/heard-virsh.ts';
import { expectMerged, untilPhase } from '../../support/scenes/merge-proofs.ts';
import { SLOW, untilCopying } from '../../support/scenes/copying.ts';
import { startScene, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import { argumentsOf, otherPids } from '../../support/host/processes.ts';
import type { System } from '../../support/host/system.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

let scene: Scene;
let count = 0;
const sceneOf = async () => (scene = await forTest(startScene({ system, vm: `web${++count}` })));
const disk = () => ({ vm: scene.guest.name, disk: 'vda' });

let heardBy: (pid: number) => string;

const pathFolder = (root: string) => {
  const virsh = makeHeardVirsh(root);
  heardBy = virsh.heardBy;
  return virsh.folder;
};
const system = useSystem(() => startSharedSystem({ pathFolder }));
const forTest = useEach();

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
  const each = sample('victims of merges', Object.keys(victims) as Victim[], 5);
  it.each(each)('when %s is killed while it copies', async (name) => {
    await sceneOf();
    const merge = await system.merge({ ...disk(), bandwidthBytesPerSecond: SLOW });
    await untilCopying(scene);
    await victims[name].kill();
    await scene.guest.waitForAcks(50);
    await victims[name].start();
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });

  it('at once when a killed agent is started again, which gives its attempts back', async () => {
    await sceneOf();
    const merge = await system.merge({ ...disk(), bandwidthBytesPerSecond: SLOW });
    // Between the start and the wait the agent has no attempt, though the job runs.
    await waitUntil('the wait for READY', async () => {
      const { raw } = await merge.describe();
      return raw.pendingActivities?.some(({ activityType: of }) => of?.name === 'awaitCommitReady');
    });
    const attempts = join(system.runtimeDir, 'attempts');
    const own = `host-${system.rolePid('host')}-`;
    const left = async () => (await readdir(attempts)).filter((name) => name.startsWith(own));
    const [folder = ''] = await left();
    const noted = async () => (await readdir(join(attempts, folder))).length === 1;
    await waitUntil('the note of this attempt', noted);
    await system.killRole('host');
    await system.startRole('host');
    // What the server says then may be its own time-out, on a busy machine.
    expect(await left()).toEqual([]);
    await untilAttempt(2, merge);
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });

  // The crash matrix strikes one effect a case; here one merge survives them all.
  it.each(sample('ways of agents to die', ['kill-before', 'kill-after'] as const, 2))(
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

  const others = ['the orchestrator', 'libvirtd', 'the Temporal server'] as const;
  it.each(sample('victims around a pivot', others, 3))(
    'when %s is killed before and after the pivot, and during the deletion',
    async (name) => {
      await sceneOf();
      await system.killRole('host');
      await system.killRole('spm');
      await system.startRole('host', [
        { effect: 'libvirt.pivot', action: 'stop-before' },
        { effect: 'libvirt.pivot', action: 'stop-after' },
      ]);
      await system.startRole('spm', [
        { effect: 'storage.quarantine-volume', action: 'stop-before' },
        { effect: 'storage.unlink-volume', action: 'stop-after' },
      ]);
      const merge = await system.merge(disk());
      for (const role of ['host', 'host', 'spm', 'spm'] as const) {
        await system.roleStopped(role);
        await victims[name].kill();
        system.signalRole(role, 'SIGCONT');
        await victims[name].start();
      }
      await expectMerged(scene, merge);
    },
  );
});

describe('The status of a merge', () => {
  it('says that the host agent is unavailable, and is back during the copy', async () => {
    await sceneOf();
    const merge = await system.merge({ ...disk(), bandwidthBytesPerSecond: SLOW });
    await untilCopying(scene);
    await system.killRole('host');
    const { away } = await untilStatus(
      merge,
      'an agent that is unavailable',
      (s) => s.away !== null,
    );
    expect(away).toMatch(/host-h1 does not answer \(since \d{4}-/);
    await system.startRole('host');
    const back = await untilStatus(merge, 'an agent that is back', (s) => s.away === null);
    expect(back.phase).toBe('copying');
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });
});

describe('SIGTERM', () => {
  it('ends each role cleanly while a merge copies, and the merge goes on', async () => {
    await sceneOf();
    const merge = await system.merge({ ...disk(), bandwidthBytesPerSecond: SLOW });
    await untilCopying(scene);
    for (const role of ['host', 'spm', 'orchestrator'] as const) {
      system.signalRole(role, 'SIGTERM');
      expect(await system.roleEnded(role)).toEqual({ exitCode: 0, signal: null });
      if (role === 'host') expect(eventProcesses(system)).toEqual([]);
      await system.startRole(role);
    }
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });
});

describe('The events of libvirt', () => {
  it('are heard again after libvirtd was killed, so READY is noticed at once', async () => {
    await sceneOf();
    const merge = await system.merge({ ...disk(), bandwidthBytesPerSecond: SLOW });
    await untilCopying(scene);
    const before = eventProcesses(system);
    await system.host.killLibvirtd();
    await system.host.startLibvirtd();
    const listener = await waitUntil('another virsh event', () =>
      eventProcesses(system).find((pid) => !before.includes(pid)),
    );
    // It hears nothing until it has told libvirtd what it wants to hear.
    await waitUntil('virsh event to hear of a change', async () => {
      await system.host.virsh('desc', scene.guest.name, '--live', 'changed');
      return heardBy(listener) !== '';
    });
    // The safety net gets no answer, so only an event tells; after 10 s a heartbeat is missed.
    const asked = await waitUntil('a question', () => {
      const pids = sessions(system);
      return pids.length > 0 && pids;
    });
    for (const pid of asked) process.kill(pid, 'SIGSTOP');
    try {
      await system.host.virsh('blockjob', scene.guest.name, 'vda', '--bandwidth', '0');
      await untilPhase(merge, 'pivoting', 7000);
    } finally {
      for (const pid of asked) process.kill(pid, 'SIGCONT');
    }
    await expectMerged(scene, merge);
  });
});

const processesWith = (isMeant: (words: string[]) => boolean) =>
  otherPids().filter((pid) => isMeant(argumentsOf(pid)));
/** The open virsh sessions in which agents ask. */
const sessions = ({ host }: System) =>
  processesWith((words) => words[0] === 'virsh' && words.at(-1) === host.uri);
const eventProcesses = ({ host }: System) =>
  processesWith((words) => words.includes(host.uri) && words.includes('event'));
