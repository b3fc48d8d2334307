/** What to do about what a tool has said. Pure. */

/** Of the system, of QEMU, of libvirt; one sentence each. */
const CURES: readonly (readonly [RegExp, string])[] = [
  [/read-only file system/i, 'Mount its file system for writing'],
  [/permission denied/i, 'Give the agent and the user of QEMU the rights to it'],
  [
    /operation not permitted/i,
    'See whether it may be changed at all (`lsattr -d FILE`; `chattr -i FILE` makes it so), and ' +
      'give the agent and the user of QEMU the rights to it',
  ],
  [/no space left/i, 'Make space there'],
  [/disk quota exceeded/i, 'Raise the quota, or delete what it counts'],
  [
    /(input\/output|i\/o) error/i,
    "See the kernel's log of the host: the storage answered with an error",
  ],
  [/stale file handle/i, 'Mount the share again'],
  [/(socket|endpoint) is not connected/i, 'Mount its file system again: what served it has ended'],
  [/file too large/i, 'Choose a pool whose file system takes files of that size'],
  [/image is corrupt/i, 'Repair a copy of that image (`qemu-img check -r all`)'],
  [
    /failed to get .*lock/i,
    'See what has it open (`fuser -v FILE`: it may be a VM), end that use if it is not needed',
  ],
  [
    /cannot check qemu binary/i,
    'Install that emulator, or name another one in `<emulator>` of the VM (`virsh edit`)',
  ],
  [/no such file or directory/i, 'Bring the file back, or mount its file system'],
  [/encrypt|no secret|passphrase/i, 'Do it while the VM runs: QEMU has the keys then'],
  [/nest(ed|ing) too deep/i, 'Merge layers while the VM is down'],
  [
    /unsupported configuration|xml error|failed to validate/i,
    "Change what libvirt names in the VM's record (`virsh edit`)",
  ],
  [
    /not in qcow2 format|unsupported qcow2|regular file|is a directory/i,
    'See what that file is (`qemu-img info FILE`, `file FILE`)',
  ],
];

/** Paths, whose words say nothing of the cause. */
const PATHS = /(?<=')\/[^']*|(?<![\w'])\/\S+/g;
export const causeIn = (said: string) => said.replace(PATHS, '');

/**
 * @param said by the tool, in English
 * @param otherwise without a dot; for words that are not known
 * @returns what to do before the request is repeated, and that it be repeated
 */
export const cureOf = (said: string, otherwise: string): string =>
  `${knownCure(said) ?? otherwise}, then repeat the request`;

/** Of an operation that goes on by itself. */
export const cureWhileItWaits = (said: string): string =>
  `${knownCure(said) ?? 'Fix that'}: blockflow tries it again, and goes on by itself`;

function knownCure(said: string): string | undefined {
  const cause = causeIn(said);
  return CURES.find(([words]) => words.test(cause))?.[1];
}

/** Of a job of QEMU that ended without a word. */
export const storageOf = (host: string) =>
  `Most often the storage answered with an error: see the kernel's log of ${host} and the file ` +
  'systems of both sides';
