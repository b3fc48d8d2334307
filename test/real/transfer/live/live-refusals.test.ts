/** What is refused of a VM that runs, before anything is touched. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { POOL } from '../../../support/scenes/merge-scene.ts';
import {
  copiers,
  expectNothingLeft,
  startMove,
  startMoveSystem,
} from '../../../support/scenes/transfer/move-scene.ts';
import {
  createImage,
  defineShutOff,
  diskXml,
  redefine,
} from '../../../support/guest/shut-off-vm.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'live-refuse' }));
const virsh = (...args: string[]) => system.host.virsh(...args);
const fileOf = (vm: string) => join(system.host.pools, POOL, `${vm}.qcow2`);

let count = 0;

interface Running {
  /** More XML in the disk. */
  inside?: string;
  /** Before it starts. */
  prepare?: (file: string) => Promise<unknown>;
}

/** A VM that runs with a disk vdb in the pool. */
async function start(vm: string, { inside = '', prepare }: Running = {}): Promise<string> {
  const file = await createImage(fileOf(vm));
  await prepare?.(file);
  await defineShutOff(system.host, vm, diskXml(file, 'qcow2', inside));
  await virsh('start', vm);
  return file;
}

type Options = Omit<Parameters<typeof startMove>[1], 'image'>;

/** Why; nothing was touched, and the VM runs on. */
async function refusalOf(vm: string, options: Options = {}) {
  const image = { kind: 'disk', vm, disk: 'vdb' } as const;
  const move = await startMove(system, { image, ...options });
  const failed: unknown = await move.result().catch((error: unknown) => error);
  expect((await virsh('domstate', vm)).trim()).toBe('running');
  expect(await virsh('dumpxml', vm)).toContain(`<source file='${fileOf(vm)}'`);
  await expectNothingLeft(system, [`${vm}.qcow2`]);
  expect(await copiers(system)).toEqual([]);
  return failureDetails(failed);
}

async function expectRefused(vm: string, code: string, options: Options = {}) {
  const failure = await refusalOf(vm, options);
  expect(failure).toMatchObject({ type: 'Refused', details: { code } });
  await virsh('destroy', vm);
  return failure?.details;
}

describe('a move of a VM that runs is refused', () => {
  it('vm-running: with an option of a VM that is down, by its name', async () => {
    await start('options');
    const details = await expectRefused('options', 'vm-running', { preallocation: 'falloc' });
    expect(details?.now).toContain('--preallocation is for a VM that is down');
  });

  it('read-only-disk', async () => {
    await start('readonly', { inside: '<readonly/>' });
    await expectRefused('readonly', 'read-only-disk');
  });

  it('unsupported-format: a disk that other VMs may write', async () => {
    const file = await createImage(fileOf('shared'), { format: 'raw' });
    await defineShutOff(system.host, 'shared', diskXml(file, 'raw', '<shareable/>'));
    await virsh('start', 'shared');
    await expectRefused('shared', 'unsupported-format');
  });

  it('unsupported-format: a disk with copy_on_read, whose source QEMU keeps open', async () => {
    const file = await createImage(fileOf('reads'));
    const disk = diskXml(file).replace("type='qcow2'", "type='qcow2' copy_on_read='on'");
    await defineShutOff(system.host, 'reads', disk);
    await virsh('start', 'reads');
    const details = await expectRefused('reads', 'unsupported-format');
    expect(details?.now).toContain('copy_on_read');
  });

  it('unsupported-format: a source with a label of its own', async () => {
    const file = await createImage(fileOf('label'));
    // libvirt does not give it to QEMU's user.
    await chmod(file, 0o666);
    const label = "<seclabel model='dac' relabel='no'/>";
    const disk = diskXml(file).replace(
      /<source file='([^']*)'\/>/,
      `<source file='$1'>${label}</source>`,
    );
    await defineShutOff(system.host, 'label', disk);
    await virsh('start', 'label');
    await expectRefused('label', 'unsupported-format');
  });

  it('internal-snapshots: of the active layer', async () => {
    await start('inner', { prepare: (file) => execa('qemu-img', ['snapshot', '-c', 's', file]) });
    const details = await expectRefused('inner', 'internal-snapshots');
    expect(details?.now).toContain('s');
  });

  it('dirty-bitmaps: of the active layer', async () => {
    const add = (file: string) => execa('qemu-img', ['bitmap', '--add', file, 'daily']);
    await start('bitmap', { prepare: add });
    const details = await expectRefused('bitmap', 'dirty-bitmaps');
    expect(details?.now).toContain('daily');
  });

  async function addCheckpoint(vm: string, name: string): Promise<void> {
    const disks = "<disk name='vda' checkpoint='no'/><disk name='vdb' checkpoint='bitmap'/>";
    const file = join(system.host.root, 'checkpoint.xml');
    const xml = `<domaincheckpoint><name>${name}</name><disks>${disks}</disks></domaincheckpoint>`;
    await writeFile(file, xml);
    await virsh('checkpoint-create', vm, file);
  }

  // libvirt's schema allows letters, digits and a few signs, so no blank and no line break.
  it.each(['daily', '--name'])(
    'dirty-bitmaps: of a checkpoint %j that only QEMU has yet, in another format',
    async (name) => {
      const vm = `check${++count}`;
      await start(vm);
      await addCheckpoint(vm, name);
      const details = await expectRefused(vm, 'dirty-bitmaps', { format: 'raw' });
      expect(details?.now).toContain(name);
    },
  );

  it('not-persistent: a VM without a record', async () => {
    await start('transient');
    await virsh('undefine', 'transient');
    await expectRefused('transient', 'not-persistent');
  });

  it("foreign-job: a user's copy, which goes on", async () => {
    const file = await start('foreign');
    const target = join(system.host.root, 'foreign-copy.qcow2');
    await virsh('blockcopy', 'foreign', 'vdb', '--dest', target, '--transient-job');
    const failure = await refusalOf('foreign');
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'foreign-job' } });
    expect(await virsh('blockjob', 'foreign', 'vdb', '--raw')).toContain('type=Block Copy');
    expect(file).toBe(fileOf('foreign'));
    await virsh('destroy', 'foreign');
  });

  it('as a Hold, divergent-chain: a record that names another file', async () => {
    await start('record');
    const other = await createImage(join(system.host.root, 'other.qcow2'));
    await redefine(system.host, 'record', (xml) => xml.replace(fileOf('record'), other));
    const failure = await refusalOf('record');
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'divergent-chain' } });
    await virsh('destroy', 'record');
  });
});
