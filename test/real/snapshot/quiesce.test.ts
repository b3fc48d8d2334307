/** The guest agent freezes the file systems while a snapshot is taken, or does not. */
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { startAgentGuest } from '../../support/guest/agent-guest.ts';
import { createImage, diskXml } from '../../support/guest/shut-off-vm.ts';
import { armFault } from '../../support/faults/faults.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { sourcesOf, startSnapshot, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { use } from '../../support/use.ts';

const system = useSystem(() => startSharedSystem({ name: 'quiesce' }));
const pool = () => join(system.host.pools, POOL);
const guest = use('the guest with an agent', async () => {
  const disk = await createImage(join(pool(), 'agent.qcow2'));
  return startAgentGuest(system, 'agent', diskXml(disk));
});
let count = 0;
let name = '';
beforeEach(() => {
  guest.heard.length = 0;
  guest.behave('freezes');
  name = `s${++count}`;
});
const vm = 'agent';
const active = async () => (await sourcesOf(system, vm))['vdb'];
const state = async () => (await system.host.virsh('domstate', vm)).trim();
const FROZEN_ONCE = ['guest-fsfreeze-freeze', 'guest-fsfreeze-thaw'];

describe('--quiesce', () => {
  it('require: the file systems are frozen for the switch, and thawed after it', async () => {
    const result = await takeSnapshot(system, { vm, name, quiesce: 'require' });
    expect(result).toMatchObject({ quiesced: true, warnings: [] });
    expect(guest.heard).toEqual(FROZEN_ONCE);
    expect(guest.isFrozen()).toBe(false);
    expect(await active()).toBe(join(pool(), `agent.${name}`));
  });

  it('require: without a freeze nothing is taken, and nothing is left', async () => {
    const before = await active();
    guest.behave('refuses');
    const creation = startSnapshot(system, { vm, name, quiesce: 'require' });
    const failure = await failureOf((await creation).result());
    expect(failure.now).toContain('a file system cannot be frozen');
    expect(await active()).toBe(before);
    expect(await poolFiles(pool())).not.toContain(`agent.${name}`);
    expect(await state()).toBe('running');
  });

  it('try: without a freeze it is taken, and the result says why', async () => {
    guest.behave('refuses');
    const result = await takeSnapshot(system, { vm, name, quiesce: 'try' });
    expect(result.quiesced).toBe(false);
    expect(result.warnings.join()).toContain('a file system cannot be frozen');
    expect(await active()).toBe(join(pool(), `agent.${name}`));
  });

  it('try: an agent that hangs in the freeze does not block the VM', async () => {
    guest.behave('hangs');
    const result = await takeSnapshot(system, { vm, name, quiesce: 'try' });
    expect(result.quiesced).toBe(false);
    expect(result.warnings.length).toBeGreaterThan(0);
    expect(guest.isFrozen()).toBe(false);
    expect(await state()).toBe('running');
  });

  it.each(['try', 'require'] as const)(
    '%s: an agent that freezes after libvirt has given it up does not leave it frozen',
    async (quiesce) => {
      guest.behave('is slow');
      await takeSnapshot(system, { vm, name, quiesce }).catch(() => undefined);
      await waitUntil('the late freeze', () => guest.heard.includes('guest-fsfreeze-freeze'));
      await waitUntil('the guest to be thawed', () => !guest.isFrozen());
      expect(await state()).toBe('running');
    },
  );

  it('no: the agent is not asked', async () => {
    expect((await takeSnapshot(system, { vm, name })).quiesced).toBe(false);
    expect(guest.heard).toEqual([]);
  });

  it('the guest is thawed, though libvirtd and the agent of blockflow die meanwhile', async () => {
    armFault(system.trace, { effect: 'libvirt.take-snapshot', action: 'stop-during' });
    const creation = await startSnapshot(system, { vm, name, quiesce: 'require' });
    await system.roleStopped('host');
    await system.host.killLibvirtd();
    await system.killRole('host');
    await system.host.startLibvirtd();
    await system.startRole('host');
    expect(await creation.result()).toMatchObject({ outcome: 'created' });
    expect(guest.isFrozen()).toBe(false);
    expect(await state()).toBe('running');
  });
});
