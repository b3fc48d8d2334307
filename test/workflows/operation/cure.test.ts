/** Advice fits its cause: what tools really say, and what is then to be done. */
import { expect, it } from '@jest/globals';
import { cureOf } from '../../../workflows/operation/cure.ts';

it.each([
  ["qemu-img: Could not open 'a': Could not open 'a': Read-only file system", 'for writing'],
  ["Could not open '/pool/a': Permission denied", 'the rights'],
  ['qemu-img: error while writing: No space left on device', 'space'],
  ['error while writing at byte 0: Disk quota exceeded', 'quota'],
  ['QEMU ended the copy of /pool/a: Input/output error', "kernel's log"],
  ['EIO: i/o error, read', "kernel's log"],
  ["error: cannot stat file '/pool/a': Stale file handle", 'share'],
  ['preallocating failed: File too large', 'files of that size'],
  ['qcow2: Image is corrupt; cannot be opened read/write', 'qemu-img check'],
  ['Failed to get "write" lock', 'fuser'],
  ["Could not open '/pool/a': No such file or directory", 'file back'],
  ["Parameter 'encrypt.key-secret' is required for cipher", 'while the VM runs'],
  ['backing chain of /pool/a is nested too deep', 'Merge layers'],
  ['libvirt reported the job failed', 'Look further'],
  ["Could not reopen '/srv/encrypted disks/a': Device or resource busy", 'Look further'],
])('%s', (said, advice) => {
  const next = cureOf(said, 'Look further');
  expect(next).toContain(advice);
  expect(next).toMatch(/^[A-Z].*, then repeat the request$/);
});
