/**
 * EIO where only names are written: backing names in headers, and the names of copies. qemu-img and
 * the page cache say that all is well then; nothing may be deleted on their word.
 */
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import type { HostDeps } from '../../../activities/host/deps.ts';
import { observeMergeProof } from '../../../activities/host/merge/observe-merge-proof.ts';
import { childrenOf } from '../../../activities/host/uses/volume-users.ts';
import type { JobInput } from '../../../workflows/merge/activities.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { armFault } from '../../support/faults/faults.ts';
import { mountFaulty } from '../../support/faults/faulty-mount.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  startMove,
  startMoveSystem,
  undoOf,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { backingName } from '../../support/guest/disks/relative-chain.ts';
import { createImage, defineChain } from '../../support/guest/shut-off-vm.ts';
import { untilAttempt } from '../../support/faults/strike.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

let count = 0;
const disk = use('the disk', () => mountFaulty(120));
const system = useSystem(() => startMoveSystem({ name: 'headerio', vault: disk.path }));

async function startChain(folder: string, layers: number) {
  const vm = `header${++count}`;
  const found = await defineChain(system.host, vm, folder, layers);
  return { vm, ...found, before: await contents(found.chain) };
}

/** From now on the header of this image cannot be written. */
const failHeader = async (path: string, once: boolean) =>
  disk.fail({ on: 'write', sector: await disk.sectorOf(path, 0), once });

/** Lets the agent go on, which stands still at a planned fault, with the disk broken. */
async function breakAt(agent: 'host' | 'spm', fail: () => Promise<() => Promise<void>>) {
  await system.roleStopped(agent);
  const heal = await fail();
  system.signalRole(agent, 'SIGCONT');
  return heal;
}

describe.each([
  ['once', true],
  ['always', false],
] as const)('EIO %s', (_, once) => {
  it("at a copy's header: given up, the source is untouched", async () => {
    const { vm, chain, image, before } = await startChain(join(system.host.pools, POOL), 2);
    armFault(system.trace, { effect: 'qemu-img.rebase', action: 'stop-before' });
    const move = await startMove(system, { image });
    const header = async () => failHeader(await disk.find(`${vm}-1.qcow2.ready`), once);
    const heal = await breakAt('host', header);
    const failure = failureDetails(await move.result().catch((error: unknown) => error));
    await heal();
    expect(failure).toMatchObject({ type: 'Retry', details: { part: 'switch' } });
    expect(failure?.details.now).toMatch(/(Input\/output|i\/o) error.*; the source is untouched/s);
    await undoOf(system, move);
    expect(await poolFiles(disk.path)).toEqual([]);
    expect(await copiers(system)).toEqual([]);
    expect(await contents(chain)).toEqual(before);
    const { chainAfter } = await (await startMove(system, { image })).result();
    await disk.forget();
    expect(await contents(chainAfter)).toEqual(before);
    await execa('rm', chainAfter);
  });

  it("at an overlay's header in a cold merge: done again before anything is deleted", async () => {
    const { vm, chain, before } = await startChain(disk.path, 3);
    const [base = '', middle = '', top = ''] = chain;
    armFault(system.trace, { effect: 'qemu-img.rebase', action: 'stop-before' });
    const merge = await system.merge({ vm, disk: 'vdb', top: middle });
    const heal = await breakAt('host', () => failHeader(top, once));
    if (!once) {
      await untilAttempt(3, merge);
      expect(await poolFiles(disk.path)).toEqual(chain.map((_, at) => `${vm}-${at}.qcow2`));
      await heal();
    }
    expect(await merge.result()).toMatchObject({ outcome: 'merged', deleted: [middle] });
    if (once) await heal();
    await disk.forget();
    expect(await backingName(top)).toBe(base);
    expect(await contents([top])).toEqual(before.slice(2));
    await execa('rm', [base, top]);
  });

  it('at the names of the copies: flushed again before the switch', async () => {
    const { vm, image, before } = await startChain(join(system.host.pools, POOL), 2);
    armFault(system.trace, { effect: 'storage.name-volume', action: 'stop-before' });
    const move = await startMove(system, { image });
    const heal = await breakAt('spm', () => disk.fail({ on: 'flush', once }));
    if (!once) {
      await untilAttempt(3, move);
      expect(await system.effects()).not.toContain(`libvirt.switch-disk-source ${vm}/vdb`);
      await heal();
    }
    const { chainAfter } = await move.result();
    if (once) await heal();
    await disk.forget();
    expect(await contents(chainAfter)).toEqual(before);
    await execa('rm', chainAfter);
  });

  it('at what is left of a merge: nothing is deleted, a person has to look', async () => {
    const { vm, chain } = await startChain(disk.path, 2);
    const [base = '', overlay = ''] = chain;
    const heal = await failHeader(overlay, once);
    await execa('dd', ['if=/dev/urandom', `of=${overlay}`, 'bs=4k', 'count=1', 'conv=notrunc']);
    const left = { base: { path: base }, overlay: { path: overlay } };
    const plan = { vm, disk: 'vdb', top: { path: `${base}-top` }, ...left };
    const proof = observeMergeProof({} as HostDeps, { plan } as unknown as JobInput);
    const failure = failureDetails(await proof.catch((error: unknown) => error));
    await heal();
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'unproven' } });
    expect(failure?.details.now).toMatch(/could not be flushed.*nothing was deleted/);
    await execa('rm', chain);
  });
});

it('EIO at the header of a neighbour: what it stands on cannot be known', async () => {
  const neighbour = await createImage(join(disk.path, 'neighbour.qcow2'));
  await disk.forget();
  const heal = await disk.fail({
    on: 'read',
    sector: await disk.sectorOf(neighbour, 0),
    once: false,
  });
  const search = { pools: [], volumes: [{ path: neighbour, identity: 'none' }] };
  const children = childrenOf(new Set(), search);
  const failure = failureDetails(await children.catch((error: unknown) => error));
  await heal();
  expect(failure).toMatchObject({ type: 'Hold', details: { code: 'unproven' } });
  expect(failure?.details.attempted).toContain(neighbour);
  await execa('rm', [neighbour]);
});
