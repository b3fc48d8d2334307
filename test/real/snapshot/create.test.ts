import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { startSharedSystem, POOL } from '../../support/scenes/merge-scene.ts';
import { armFault } from '../../support/faults/faults.ts';
import { expectGuestData, expectOneCut } from '../../support/guest/guest-data.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import {
  defineSeveralDisks,
  deleteSnapshot,
  imagesOf,
  sourcesOf,
  startSnapshot,
  takeSnapshot,
} from '../../support/scenes/snapshot-scene.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'snapshots' }));
const overlaysOf = (disks: Record<string, string>, name: string) =>
  Object.fromEntries(
    Object.entries(disks).map(([target, path]) => [target, path.replace(/[^.]*$/, name)]),
  );
const own = async (vm: string) =>
  (await poolFiles(join(system.host.pools, POOL))).filter(
    (file) => file.startsWith(`${vm}.`) || file.startsWith(`${vm}-`) || file.includes('/'),
  );

describe('a snapshot of a VM with several disks', () => {
  it('that runs: all write to overlays, it is listed, it is one cut, nothing is lost', async () => {
    const { guest, disks } = await defineSeveralDisks(system, 'runs', 4, { writesPerSecond: 0 });
    await guest.start();
    const before = await guest.waitForAcks(20);
    const result = await takeSnapshot(system, { vm: 'runs', name: 's1', description: 'a "b" & c' });
    const overlays = overlaysOf(disks, 's1');
    expect(result).toMatchObject({
      outcome: 'created',
      snapshot: 's1',
      chainAfter: Object.values(overlays),
      warnings: [],
      quiesced: false,
    });
    expect(result.stallMs).toBeGreaterThan(0);
    expect(await sourcesOf(system, 'runs')).toEqual(overlays);
    expect(await sourcesOf(system, 'runs', '--inactive')).toEqual(overlays);
    expect(await system.host.virsh('snapshot-list', 'runs', '--name')).toContain('s1');
    const xml = await system.host.virsh('snapshot-dumpxml', 'runs', 's1');
    expect(xml).toContain('&amp; c');
    for (const path of Object.values(disks)) expect(xml).toContain(`<source file='${path}'`);
    const between = await guest.waitForAcks(20);
    await takeSnapshot(system, { vm: 'runs', name: 's2' });
    expect(await system.host.virsh('snapshot-current', 'runs', '--name')).toContain('s2');
    expect((await system.host.virsh('snapshot-parent', 'runs', 's2')).trim()).toBe('s1');
    await guest.waitForAcks(20);
    await guest.kill();
    const active = imagesOf(overlaysOf(overlays, 's2'));
    const last = await expectGuestData(guest, ...active);
    const first = await expectOneCut(guest, ...imagesOf(disks));
    const second = await expectOneCut(guest, ...imagesOf(overlays));
    expect([before, first, between, second, last]).toEqual(
      [before, first, between, second, last].sort((a, b) => a - b),
    );
    const names = ['runs', 'runs-b', 'runs-c', 'runs-d'];
    expect((await own('runs')).sort()).toEqual(
      names.flatMap((disk) => [`${disk}.qcow2`, `${disk}.s1`, `${disk}.s2`]).sort(),
    );
  });

  it('that is down: its record names both overlays, and it starts', async () => {
    const { guest, disks } = await defineSeveralDisks(system, 'down', 2);
    await guest.start();
    const before = await guest.waitForAcks(5);
    await guest.kill();
    const result = await takeSnapshot(system, { vm: 'down', name: 's1' });
    expect(result).toMatchObject({ outcome: 'created', stallMs: null });
    const overlays = overlaysOf(disks, 's1');
    expect(await sourcesOf(system, 'down', '--inactive')).toEqual(overlays);
    await guest.start();
    await guest.waitForAcks(5);
    const again = await takeSnapshot(system, { vm: 'down', name: 's1' });
    expect(again).toMatchObject({ outcome: 'already-done' });
    const other = startSnapshot(system, { vm: 'down', name: 's1', description: 'another one' });
    expect(await failureOf((await other).result())).toMatchObject({ code: 'snapshot-exists' });
    await guest.kill();
    await expectGuestData(guest, ...imagesOf(overlays));
    expect(await expectOneCut(guest, ...imagesOf(disks))).toBeGreaterThanOrEqual(before);
  });

  it('whose run was terminated after the switch: the same request completes it', async () => {
    await defineSeveralDisks(system, 'ended', 2);
    const request = { vm: 'ended', name: 's1', exclude: ['vdb'] };
    armFault(system.trace, { effect: 'libvirt.list-snapshot', action: 'stop-before' });
    const first = await startSnapshot(system, request);
    await system.roleStopped('host');
    await first.terminate();
    system.signalRole('host', 'SIGCONT');
    const result = await takeSnapshot(system, request);
    expect(result).toMatchObject({ outcome: 'created', snapshot: 's1' });
    expect(result.disks.map(({ disk }) => disk)).toEqual(['vda']);
    expect(await takeSnapshot(system, request)).toMatchObject({ outcome: 'already-done' });
    const other = await startSnapshot(system, { ...request, exclude: [] });
    expect(await failureOf(other.result())).toMatchObject({ code: 'snapshot-exists' });
  });

  it('that waited for a pool while the guest wrote: its time is that of the switch', async () => {
    const { guest, disks } = await defineSeveralDisks(system, 'late', 2);
    await guest.start();
    await guest.waitForAcks(5);
    armFault(system.trace, { effect: 'storage.reserve-overlays', action: 'stop-before' });
    const creation = await startSnapshot(system, { vm: 'late', name: 's1' });
    await system.roleStopped('spm');
    const written = async () => Math.floor((await stat(disks['vdb'] ?? '')).mtimeMs / 1000);
    const planned = await written();
    await waitUntil('the guest to write later', async () => (await written()) > planned + 3);
    system.signalRole('spm', 'SIGCONT');
    await creation.result();
    const xml = await system.host.virsh('snapshot-dumpxml', 'late', 's1');
    const [, time] = /<creationTime>(\d+)</.exec(xml) ?? [];
    expect(Number(time)).toBeGreaterThanOrEqual(await written());
    await guest.kill();
  });

  it('whose name another one has since: the request that made the first is not done', async () => {
    await defineSeveralDisks(system, 'since', 2);
    const first = { vm: 'since', name: 's1' };
    await takeSnapshot(system, first);
    await deleteSnapshot(system, first);
    const of = async () => sourcesOf(system, 'since', '--inactive');
    const before = await of();
    await untilNextSecond();
    await takeSnapshot(system, { ...first, disks: ['vdb'] });
    const again = await startSnapshot(system, first);
    expect(await failureOf(again.result())).toMatchObject({ code: 'snapshot-exists' });
    expect(await of()).toEqual({ ...before, vdb: expect.stringMatching(/s1$/) });
  });
});

/** libvirt notes the second in which a snapshot was taken. */
async function untilNextSecond(): Promise<void> {
  const second = () => new Date().toISOString().slice(0, 19);
  const since = second();
  await waitUntil('the next second', () => second() !== since);
}
