/** Moves of running VMs whose pools are shared with a second host, which has their leases. */
import { readFile } from 'node:fs/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { statusQuery } from '../../../../workflows/kinds.ts';
import { startSecondHost } from '../../../support/host/second-host.ts';
import { POOL, startScene } from '../../../support/scenes/merge-scene.ts';
import { SMALL } from '../../../support/scenes/merge-checks.ts';
import { expectAllMoved } from '../../../support/scenes/transfer/disks-proofs.ts';
import { startDisks, startDisksMove } from '../../../support/scenes/transfer/disks-scene.ts';
import {
  expectMoved,
  expectNotMoved,
  startLiveMove,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import { startMoveSystem, VAULT } from '../../../support/scenes/transfer/move-scene.ts';
import { use, useEach } from '../../../support/use.ts';
import { untilStatus } from '../../../support/scenes/until-status.ts';

const first = use('the first host', () =>
  startMoveSystem({ name: 'elsewhere', roles: ['orchestrator', 'host'] }),
);
const second = use(
  'the second host',
  () => startSecondHost(first, [POOL, VAULT]),
  (started) => started.revive(),
);
const forTest = useEach();
let count = 0;
let vm: string;
beforeEach(() => void (vm = `shared${++count}`));
const start = () => forTest(startScene({ system: first, vm, guest: SMALL }));

/** First words of the effects that passed on a host. */
const passed = async (trace: string) =>
  new Set(
    (await readFile(trace, 'utf8').catch(() => ''))
      .split('\n')
      .filter((line) => line.includes(vm))
      .map((line) => line.split('.')[0]),
  );

describe('A live move of pools whose SPM is on another host', () => {
  it('mirrors on its own host, and creates and deletes on the other', async () => {
    const scene = await start();
    await expectMoved(scene, await startLiveMove(scene));
    expect(await passed(first.trace)).toEqual(new Set(['image', 'libvirt']));
    expect(await passed(second.trace)).toEqual(new Set(['storage']));
  });

  it('switches several disks together', async () => {
    const scene = await startDisks(first, vm);
    const result = await expectAllMoved(scene, await startDisksMove(scene));
    expect(result.stallMs).toBeGreaterThan(0);
    expect([...(await passed(second.trace))]).toEqual(['storage']);
  });
});

describe('A live move whose target pool has no SPM agent', () => {
  const untilAway = async (move: Awaited<ReturnType<typeof startLiveMove>>) => {
    const { away } = await untilStatus(move, 'the note', (status) => status.away !== null);
    expect(away).toContain(`the agent of spm-${VAULT} does not answer`);
  };

  it('says so, waits for it while the guest writes, and goes on', async () => {
    const scene = await start();
    await second.killRole('spm');
    const move = await startLiveMove(scene);
    await untilAway(move);
    await scene.guest.waitForAcks(scene.guest.disk.parameters.slots + 1);
    await second.startRole('spm');
    await expectMoved(scene, move);
    expect(await move.query(statusQuery)).toMatchObject({ away: null });
  });

  it('leaves its source when it is cancelled then', async () => {
    const scene = await start();
    await second.killRole('spm');
    const move = await startLiveMove(scene);
    await untilAway(move);
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    await second.startRole('spm');
    await expectNotMoved(scene, move);
  });
});
