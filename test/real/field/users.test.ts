/**
 * Whatever uses a file, and however it names it: no merge changes it, no move and no removal
 * deletes it. Each user is one that people have (FF-05, FF-15, FF-24).
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { createImage, defineChain } from '../../support/guest/shut-off-vm.ts';
import {
  digests,
  startMove,
  startMoveSystem,
  startRemoval,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { sample } from '../../support/sample.ts';

const system = useSystem(() => startMoveSystem({ name: 'users' }));
let count = 0;

const inPool = (...names: string[]) => join(system.host.pools, POOL, ...names);

/** @returns what ends the use */
type Use = (file: string) => Promise<() => Promise<unknown>>;

/** A clone by qemu-img, at a name of bytes: a shell makes it, as Node takes text for arguments. */
const clone =
  (name: Buffer): Use =>
  async (file) => {
    const path = Buffer.concat([Buffer.from(`${dirname(file)}/`), name]);
    const slash = path.lastIndexOf('/');
    await mkdir(path.subarray(0, slash), { recursive: true });
    const plain = await createImage(inPool('plain'), { below: file });
    // To another folder by its absolute name: relative names of headers are of another test.
    await execa('sh', ['-c', 'mv "$0" "$(printf "%b" "$1")"', plain, escaped(path)]);
    return () => rm(path);
  };
const escaped = (path: Buffer) =>
  [...path].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('');

/** An image in the pool whose header names its backing file in this way. */
const named =
  (name: string): Use =>
  async (file) => {
    const path = inPool('named.qcow2');
    const backing = name.replaceAll('FILE', file);
    await execa('qemu-img', [
      'create',
      '-q',
      '-u',
      '-f',
      'qcow2',
      '-F',
      'qcow2',
      '-b',
      backing,
      path,
      '8M',
    ]);
    return () => rm(path);
  };

/** A VM that is down, whose image fills a block device, as those of LVM do. */
const onDevice: Use = async (file) => {
  const image = await createImage(join(system.host.root, 'volume'), { below: file });
  const { stdout: device } = await execa('losetup', ['--find', '--show', image]);
  const disk = `<disk type='block'><driver name='qemu' type='qcow2'/><source dev='${device}'/>
    <target dev='vda' bus='virtio'/></disk>`;
  const end = await domain({ devices: disk })(file);
  return async () => {
    await end();
    await execa('losetup', ['--detach', device]);
    await rm(image);
  };
};

/** A clone in a pool that is not started. */
const inSleepingPool: Use = async (file) => {
  const pool = join(system.host.root, 'asleep');
  await mkdir(pool);
  await createImage(join(pool, 'clone.qcow2'), { below: file });
  await system.host.virsh('pool-define-as', 'asleep', 'dir', '--target', pool);
  return async () => {
    await system.host.virsh('pool-undefine', 'asleep');
    await rm(pool, { recursive: true });
  };
};

/** Another VM whose definition has this in `<os>`, `<devices>` or at its end. */
const domain =
  (part: { os?: string; devices?: string; end?: string }): Use =>
  async (file) => {
    const fill = (text = '') => text.replaceAll('FILE', file);
    const name = `user${++count}`;
    const xml = `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
      <name>${name}</name><memory unit='MiB'>16</memory>
      <os><type arch='x86_64' machine='pc'>hvm</type>${fill(part.os)}</os>
      <features><acpi/></features>
      <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>${fill(part.devices)}</devices>
      ${fill(part.end)}</domain>`;
    const document = join(system.host.root, `${name}.xml`);
    await writeFile(document, xml);
    await system.host.virsh('define', document);
    return () =>
      system.host
        .virsh('undefine', name, '--nvram', '--keep-nvram')
        .catch(() => system.host.virsh('undefine', name, '--keep-nvram'));
  };
const argument = (words: string) =>
  `<qemu:commandline><qemu:arg value='-drive'/><qemu:arg value='${words}'/></qemu:commandline>`;
const firmware = (nvram: string) =>
  `<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>${nvram}`;

const uses: [string, Use][] = [
  ['a clone whose name is no UTF-8', clone(Buffer.from('pr\xfcfung.qcow2', 'latin1'))],
  ['a clone in a subfolder', clone(Buffer.from('clones/x.qcow2'))],
  ['a clone three folders down', clone(Buffer.from('a/b b/c/x'))],
  ['a clone in a folder whose name is no UTF-8', clone(Buffer.from('\xff\xfe/x', 'latin1'))],
  [
    'a clone that names it by JSON in single quotes',
    named("json:{'driver':'qcow2','file':{'driver':'file','filename':'FILE'}}"),
  ],
  [
    'a clone that names it below the file that it names',
    named('json:{"driver":"raw","file.filename":"/dev/null","backing":{"file.filename":"FILE"}}'),
  ],
  ['a clone that names it through a driver', named('blkdebug::FILE')],
  ['a clone in a pool that is not started', inSleepingPool],
  ['a VM on a block device', onDevice],
  ['a kernel', domain({ os: '<kernel>FILE</kernel>' })],
  ['an initrd', domain({ os: '<kernel>/boot/k</kernel><initrd>FILE</initrd>' })],
  ['a device tree', domain({ os: '<kernel>/boot/k</kernel><dtb>FILE</dtb>' })],
  ['firmware', domain({ os: "<loader readonly='yes' type='pflash'>FILE</loader>" })],
  ['variables of firmware', domain({ os: firmware('<nvram>FILE</nvram>') })],
  ['a template of variables', domain({ os: firmware("<nvram template='FILE'>/tmp/v</nvram>") })],
  ['an ACPI table', domain({ os: "<acpi><table type='slic'>FILE</table></acpi>" })],
  [
    'the ROM of a device',
    domain({ devices: "<interface type='user'><rom file='FILE'/></interface>" }),
  ],
  ['an argument of QEMU', domain({ end: argument('file=FILE,if=none,format=qcow2') })],
  [
    'an argument of QEMU, last',
    domain({ end: argument('format=qcow2,if=none,file.filename=FILE') }),
  ],
  [
    'an argument of QEMU in JSON',
    domain({ end: argument('{"driver":"file","filename":"FILE","node-name":"x"}') }),
  ],
  ['an argument of QEMU with a protocol', domain({ end: argument('if=none,file=file:FILE') })],
];

const chosen = sample('users of a file', uses, 4);
describe.each(chosen)('%s', (_name, use) => {
  it('keeps a base from a merge, from a move and from a removal', async () => {
    const vm = `vm${++count}`;
    const { chain, image } = await defineChain(system.host, vm, inPool(), 2);
    const [base = '', top = ''] = chain;
    const end = await use(base);
    const before = await digests(chain);
    const codes = [
      await codeOf(merged(system, { vm, disk: 'vdb' })),
      await codeOf(startMove(system, { image, to: VAULT }).then((move) => move.result())),
    ];
    await system.host.virsh('undefine', vm);
    await rm(top);
    const volume = { pool: POOL, volume: `${vm}-0.qcow2`, format: 'qcow2', wipe: false } as const;
    codes.push(await codeOf(startRemoval(system, volume).then((removal) => removal.result())));
    expect(new Set(codes)).toEqual(
      new Set([expect.stringMatching(/^(shared-base|volume-in-use)$/)]),
    );
    expect(await digests([base])).toEqual({ [`${vm}-0.qcow2`]: before[`${vm}-0.qcow2`] });
    await end();
    const removal = await startRemoval(system, volume);
    expect(await removal.result()).toMatchObject({ outcome: 'removed' });
  });
});

/** Of the refusal, with which it has to end. */
async function codeOf(result: Promise<unknown>): Promise<string> {
  const error = await result.then(
    (done) => ({ done }),
    (reason: unknown) => reason,
  );
  const failure = failureDetails(error);
  return failure?.type === 'Refused' ? failure.details.code : JSON.stringify(error);
}
