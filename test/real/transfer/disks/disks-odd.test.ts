/** Disks of a VM that are not alike: what stays, what they share, and what they are called. */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  decideSignal,
  decideUpdate,
  ORCHESTRATOR_QUEUE,
} from '../../../../workflows/operation/contract.ts';
import { statusQuery } from '../../../../workflows/kinds.ts';
import type { MoveDisksResult } from '../../../../workflows/transfer/disks/kind.ts';
import {
  moveDisksInput,
  type MoveDisksRequest,
} from '../../../../workflows/transfer/disks/request.ts';
import { createImage, defineShutOff, diskXml } from '../../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf } from '../../../support/host/roles/command-line.ts';
import { exitsWith } from '../../../support/host/roles/says.ts';
import { HOST } from '../../../support/host/system.ts';
import { failureOf } from '../../../support/scenes/failure-of.ts';
import { POOL } from '../../../support/scenes/merge-scene.ts';
import type { Handle } from '../../../support/scenes/transfer/image-operations.ts';
import {
  contents,
  digests,
  startMoveSystem,
  VAULT,
} from '../../../support/scenes/transfer/move-scene.ts';
import { slowMove, unlimit } from '../../../support/scenes/transfer/slow-move.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const THIRD = 'third';
const system = useSystem(async () => {
  const started = await startMoveSystem({ name: 'disks-odd' });
  await started.host.definePool(THIRD);
  return started;
});
const inPool = (name: string, pool = POOL) => join(system.host.pools, pool, name);
const asVdc = (xml: string) => xml.replace("dev='vdb'", "dev='vdc'");
const DISKS = ['vdb', 'vdc'];

async function define(vm: string, files: readonly [string, string], running: boolean) {
  const [b, c] = files;
  await defineShutOff(system.host, vm, diskXml(b) + asVdc(diskXml(c)));
  if (running) await system.host.virsh('start', vm, '--paused');
}

function start(vm: string, more: Partial<MoveDisksRequest>): Promise<Handle<MoveDisksResult>> {
  const asked = { vm, host: HOST, to: VAULT, disks: DISKS, maxPauseMs: 20_000, ...more };
  return system.client.workflow.start<(input: unknown) => Promise<MoveDisksResult>>('MoveDisks', {
    workflowId: vm,
    taskQueue: ORCHESTRATOR_QUEUE,
    args: [moveDisksInput.parse(asked)],
  });
}

const failing = async (vm: string, more: Partial<MoveDisksRequest> = {}) =>
  failureOf((await start(vm, more)).result());

/** The VM is where it was. */
async function expectOn(vm: string, files: readonly string[]): Promise<void> {
  const sources = Object.values(await sourcesOf(system, vm));
  expect(sources).toEqual(expect.arrayContaining([...files]));
}

it.each([true, false])(
  'A copy says that a disk is in the target pool, and copies none; VM runs: %s',
  async (running) => {
    const vm = `there-${running}`;
    const files = [inPool(`${vm}-b.qcow2`), inPool(`${vm}-c.qcow2`, VAULT)] as const;
    for (const file of files) await createImage(file);
    await define(vm, files, running);
    for (const disks of [DISKS, ['vdc']]) {
      const failure = await failing(vm, { sources: 'keep', disks });
      expect(failure).toMatchObject({ type: 'Refused', code: 'same-pool' });
      expect(failure.next).toContain(`blockflow copy ${vm} vdc --to vault --name`);
    }
  },
);

it('A copy of a running VM takes disks that stand on a shared base, which stays', async () => {
  const base = await createImage(inPool('template.qcow2'));
  await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 1M 1M', base]);
  const files = [inPool('clone-b.qcow2'), inPool('clone-c.qcow2')] as const;
  await createImage(files[0], { below: base });
  await createImage(files[1]);
  await createImage(inPool('other-clone.qcow2'), { below: base });
  await define('clone', files, true);
  const before = await digests([base]);
  const result = await (await start('clone', { sources: 'keep' })).result();
  expect(result).toMatchObject({ outcome: 'copied', removals: [] });
  expect(await digests([base])).toEqual(before);
  await expectOn('clone', files);
  await system.host.virsh('destroy', 'clone');
  const copies = ['clone-b.qcow2', 'clone-c.qcow2'].map((name) => inPool(name, VAULT));
  expect(await contents(copies)).toEqual(await contents(files));
});

it('A disk that is copied with others ends at their moment, whatever is decided', async () => {
  const files = [inPool('stay-b.qcow2'), inPool('stay-c.qcow2')] as const;
  for (const file of files) await createImage(file);
  await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 0 8M', files[1]]);
  await define('stay', files, true);
  const copy = await start('stay', { sources: 'keep', bandwidthBytesPerSecond: 1_000_000 });
  const part = system.client.workflow.getHandle('stay/vdb');
  await waitUntil('vdb to wait', async () => {
    const status = await part.query(statusQuery).catch(() => null);
    return status?.phase === 'waiting for a decision';
  });
  for (const choice of ['pivot', 'keep'] as const) {
    await expect(part.executeUpdate(decideUpdate, { args: [choice] })).rejects.toThrow();
    await part.signal(decideSignal, choice);
  }
  expect(await part.query(statusQuery)).toMatchObject({ phase: 'waiting for a decision' });
  await unlimit(copy);
  expect(await copy.result()).toMatchObject({ outcome: 'copied' });
  await expectOn('stay', files);
  await system.host.virsh('destroy', 'stay');
});

it('A disk of a whole VM that cannot move is refused, and the others are named', async () => {
  const files = [inPool('odd-b.qcow2'), inPool('odd-c.qcow2')] as const;
  for (const file of files) await createImage(file);
  await define('odd', files, true);
  const failure = await failing('odd', { disks: null });
  expect(failure).toMatchObject({ type: 'Refused', code: 'outside-pools' });
  expect(failure.next).toContain('or name the others (`blockflow move odd vdb vdc --to vault');
  expect((await failing('odd', { disks: ['vda', 'vdb'] })).next).not.toContain('the others');
  await expectOn('odd', files);
  await system.host.virsh('destroy', 'odd');
});

it.each([true, false])(
  'name-taken: two volumes of one name in two pools are seen when planned; VM runs: %s',
  async (running) => {
    const vm = `same-${running}`;
    const files = [inPool(`${vm}.qcow2`), inPool(`${vm}.qcow2`, THIRD)] as const;
    for (const file of files) await createImage(file);
    await define(vm, files, running);
    const failure = await failing(vm, {});
    expect(failure).toMatchObject({ type: 'Refused', code: 'name-taken' });
    expect(failure.now).toContain('disks vdb and vdc both have a volume');
    await expectOn(vm, files);
    if (running) await system.host.virsh('destroy', vm);
  },
);

it('name-taken: a link that leads nowhere is seen when planned', async () => {
  const files = [inPool('link-b.qcow2'), inPool('link-c.qcow2')] as const;
  for (const file of files) await createImage(file);
  await symlink('/nowhere/at-all', inPool('link-c.qcow2', VAULT));
  await define('link', files, false);
  const failure = await failing('link', {});
  expect(failure).toMatchObject({ type: 'Refused', code: 'name-taken' });
  expect(failure.now).toContain('exists; nothing was done');
});

it('Copies of a VM that is down are of one moment, or it says what to delete', async () => {
  const blockflow = commandLine(environmentOf(system));
  exitsWith(await blockflow('limit', 'copies', '1'), 0);
  const before = await slowMove(system, 'before');
  const files = [inPool('late-b.qcow2'), inPool('late-c.qcow2')] as const;
  for (const file of files) await createImage(file);
  await define('late', files, false);
  const copy = await start('late', { sources: 'keep' });
  const places: (string | undefined)[] = [];
  await waitUntil('one to wait behind the other', async () => {
    for (const [i, disk] of DISKS.entries()) {
      const { printed } = await blockflow('status', `late/${disk}`);
      places[i] = /waiting for its turn, (\d) of 2/.exec(printed)?.[1];
    }
    return places.toSorted().join() === '1,2';
  });
  // As its guest would, where the VM were started and stopped.
  const late = files[places.indexOf('2')] ?? '';
  await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 0 64k', late]);
  await unlimit(before.move);
  const failure = await failureOf(copy.result());
  expect(failure).toMatchObject({ type: 'Retry', code: 'partly-moved' });
  expect(failure.now).toContain('several moments');
  expect(failure.next).toContain('blockflow rm POOL/FILE');
});
