/**
 * A file has more than data (FF-09): an ACL, which mode bits do not show, and attributes of backup
 * tools. The copy lets in no other user, and lacks nothing without a word.
 */
import { chmod, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  removalOf,
  startCopy,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const plain = use('a file system without more', () => mountOwn('tmpfs', 64));
const system = useSystem(() => startMoveSystem({ name: 'attributes' }));
beforeAll(async () => {
  await system.host.definePool('plain', plain.path);
  await system.killRole('spm');
  await system.startRole('spm');
});

const perl = async (program: string, ...args: string[]) =>
  (await execa('perl', ['-e', program, ...args])).stdout;
/** By the system calls, as `setfattr` and `getfattr` are not everywhere; values are hex. */
const setAttribute = (path: string, name: string, hex: string) =>
  perl(
    'my ($p, $n, $v) = @ARGV; $v = pack("H*", $v); ' +
      'syscall(188, $p, $n, $v, length($v), 0) == 0 or die $!',
    ...[path, name, hex],
  );
const attributeOf = (path: string, name: string) =>
  perl(
    'my ($p, $n) = @ARGV; my $v = "\\0" x 999; my $l = syscall(191, $p, $n, $v, 999); ' +
      'print $l < 0 ? "none" : unpack("H*", substr($v, 0, $l))',
    ...[path, name],
  );

const ACL = 'system.posix_acl_access';
const USER = 'user.backup.id';
const LIBVIRT = 'trusted.libvirt.security.dac';
const entry = (tag: number, rights: number, id = 0xffffffff) => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(tag, 0);
  bytes.writeUInt16LE(rights, 2);
  bytes.writeUInt32LE(id, 4);
  return bytes.toString('hex');
};
/** The owner and user 64055 read and write; the group and others do nothing. */
const acl = ['02000000', entry(1, 6), entry(2, 6, 64055), entry(4, 0), entry(16, 6), entry(32, 0)];

async function defined(vm: string): Promise<string> {
  const file = await createImage(join(system.host.pools, POOL, `${vm}.qcow2`));
  await chmod(file, 0o600);
  await setAttribute(file, ACL, acl.join(''));
  await setAttribute(file, USER, '3432');
  await setAttribute(file, LIBVIRT, '2b303a2b30');
  await defineShutOff(system.host, vm, diskXml(file));
  return file;
}
const image = (vm: string) => ({ kind: 'disk', vm, disk: 'vdb' }) as const;

async function expectSame(copy: string): Promise<void> {
  expect((await stat(copy)).mode & 0o777).toBe(0o660);
  expect(await attributeOf(copy, ACL)).toBe(acl.join(''));
  expect(await attributeOf(copy, USER)).toBe('3432');
  // Of the file that libvirt has relabelled, which the copy is not.
  expect(await attributeOf(copy, LIBVIRT)).toBe('none');
}

it('follow a move and a copy: ACL and attributes of users, not those of libvirt', async () => {
  const file = await defined('acl');
  const inVault = (name: string) => join(system.host.pools, VAULT, name);
  const copied = await startCopy(system, { image: image('acl'), to: VAULT, name: 'twin.qcow2' });
  await copied.result();
  await expectSame(inVault('twin.qcow2'));
  const result = await (await startMove(system, { image: image('acl') })).result();
  await removalOf(system, result);
  expect(result.warnings).toEqual([]);
  await expectSame(inVault(basename(file)));
});

it('follow a conversion', async () => {
  await defined('raw');
  const move = await startMove(system, { image: image('raw'), format: 'raw' });
  await removalOf(system, await move.result());
  await expectSame(join(system.host.pools, VAULT, 'raw.raw'));
});

it('are told where the pool cannot have them; rights stay', async () => {
  const file = await defined('told');
  const copied = await startCopy(system, { image: image('told'), to: 'plain' });
  const { warnings } = await copied.result();
  const copy = join(plain.path, basename(file));
  if ((await attributeOf(copy, USER)) === 'none') {
    expect(warnings.join()).toContain(`extended attributes of ${file} do not follow`);
  } else expect(warnings).toEqual([]);
  expect(await attributeOf(copy, ACL)).toBe(acl.join(''));
  await rm(copy);
});
