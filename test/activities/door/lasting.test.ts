/** What lasts and what passes, in the words of tools: generated over both lists. */
import { describe, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import * as fc from 'fast-check';
import { z } from 'zod';
import { CommandError } from '../../../activities/adapters/process/command.ts';
import { implement } from '../../../activities/door/implement.ts';
import {
  lastingIn,
  lastingWords,
  LASTING_WORDS,
  orRefused,
  PASSING_WORDS,
} from '../../../activities/door/lasting.ts';
import { failureDetails, givenUp } from '../../../workflows/operation/failures.ts';
import { defineActivities } from '../../../workflows/operation/activities.ts';

/** As QEMU 7.2 and libvirt 9.0 say them; `qemu-img` and `virsh` put more around them. */
const LASTING = [
  'Image is not in qcow2 format',
  'Unsupported qcow2 feature(s): Unknown incompatible feature: 8000000000000000',
  'Unsupported qcow2 version 4',
  "'file' driver requires 'FILE' to be a regular file",
  "Could not open 'FILE': Is a directory",
  "Could not open 'FILE': Permission denied",
  "Could not open 'FILE': Operation not permitted",
  "Could not open 'FILE': Read-only file system",
  "Could not resize 'FILE': File too large",
  'cannot stat FILE: File name too long',
  'cannot stat FILE: Too many levels of symbolic links',
  'XML error: target is not named',
  'XML document failed to validate against schema: Unable to validate doc against domain.rng',
  'Cannot check QEMU binary FILE: No such file or directory',
  'unsupported configuration: metadata cache max size control is supported only with qcow2 images',
  "unsupported configuration: encryption is supported only with 'raw' and 'qcow2' image format",
  'unsupported configuration: io uring is not supported by this QEMU binary',
  'unsupported configuration: ACPI index is not supported with this QEMU',
];
const PASSING = [
  'Failed to get "write" lock',
  'Failed to get shared "write" lock',
  'Failed to lock byte 100',
  'Failed to unlock byte 201',
  'error while writing at byte 0: No space left on device',
  'Disk quota exceeded',
  'Cannot allocate memory',
  "Could not open 'FILE': Input/output error",
  "cannot stat file 'FILE': Stale file handle",
  'Transport endpoint is not connected',
  'Resource temporarily unavailable',
  'Device or resource busy',
  'Text file busy',
  'Interrupted system call',
  'Connection timed out',
  'Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatch)',
  'Connection refused',
  'End of file while reading data: Input/output error',
  'failed to connect to the hypervisor',
  "internal error: pool 'images' has asynchronous jobs running.",
  'unsupported configuration: disk source can be changed only in removable drives',
  "Operation not supported: cannot modify field 'bus' of the disk",
];
/** Neither list has them: they are tried again. */
const UNKNOWN = [
  "Could not open 'FILE': No such file or directory",
  'Requested operation is not valid: domain is not running',
  'invalid argument: disk vdb does not have an active block job',
  'Operation not supported: live disk update',
  'unsupported configuration: external and internal snapshots exclude each other',
  'the tool was killed',
];

const some = (all: readonly string[]) => fc.constantFrom(...all);
/** Names that say the words of other errors. */
const named = fc
  .constantFrom('/p/a.qcow2', '/p/Permission denied/a', '/p/No space left/Failed to lock/x')
  .map((file) => (text: string) => text.replace('FILE', file));
/** What tools put around an error. */
const told = fc.constantFrom(
  (text: string) => text,
  (text: string) => `qemu-img: Could not open '/p/b': ${text}`,
  (text: string) => `error: Failed to update device from /proc/self/fd/19\nerror: ${text}`,
  (text: string) => `qemu-io: can't open device /p/c: ${text}\n`,
);
const sentence = (all: readonly string[]) =>
  fc.tuple(some(all), named, told).map(([text, name, tell]) => tell(name(text)));

const quoted = (text: string) => text.replaceAll(/FILE/g, "'FILE'").replaceAll("''", "'");

describe('The words of a tool', () => {
  it('last, whatever stands around them', () => {
    const lasting = sentence(LASTING.map(quoted));
    fc.assert(fc.property(lasting, (text) => expect(lastingWords(text)).not.toBeNull()));
  });

  it('pass, also beside such as last', () => {
    const passing = sentence(PASSING.map(quoted));
    fc.assert(fc.property(passing, (text) => expect(lastingWords(text)).toBeNull()));
    const both = fc.tuple(passing, sentence(LASTING.map(quoted)), fc.boolean());
    fc.assert(
      fc.property(both, ([one, other, isFirst]) => {
        const text = isFirst ? `${one}\n${other}` : `${other}: ${one}`;
        expect(lastingWords(text)).toBeNull();
      }),
    );
  });

  it('are tried again where they are not known, whatever names they hold', () => {
    const unknown = sentence(UNKNOWN.map(quoted));
    fc.assert(fc.property(unknown, (text) => expect(lastingWords(text)).toBeNull()));
  });

  it('have an example each', () => {
    for (const { words } of LASTING_WORDS)
      expect(LASTING.filter((t) => words.test(t))).not.toEqual([]);
    for (const words of PASSING_WORDS) expect(PASSING.filter((t) => words.test(t))).not.toEqual([]);
  });
});

const said = (text: string) => CommandError.of('qemu-img info', text);
const table = defineActivities({
  observeAPlan: { input: z.strictObject({}), result: z.void(), beats: 'while working' },
  observeAProof: { input: z.strictObject({}), result: z.void(), beats: 'while working' },
  ensureIt: { input: z.strictObject({}), result: z.void(), beats: 'while working' },
});
type Step = keyof typeof table;

async function failureOf(step: Step, error: Error) {
  const fail = () => Promise.reject(error);
  const served = implement(table, null, {
    observeAPlan: fail,
    observeAProof: fail,
    ensureIt: fail,
  });
  const run = new MockActivityEnvironment().run(served[step], {});
  return run.catch((e: unknown) => e);
}

describe('A step whose tool says so', () => {
  it.each([
    ['observeAPlan', 'Refused', 'unsupported-format'],
    ['observeAProof', 'Retry', 'command-failed'],
    ['ensureIt', 'Retry', 'command-failed'],
  ] as const)('%s ends as %s, with what to do', async (step, type, code) => {
    const failure = await failureOf(step, said('qemu-img: Image is not in qcow2 format'));
    expect(failure).toMatchObject({ type, nonRetryable: true });
    expect(failureDetails(failure)?.details).toMatchObject({
      code,
      now: expect.stringContaining('not in qcow2 format'),
      next: expect.stringContaining('qemu-img info'),
    });
  });

  it.each(['observeAPlan', 'ensureIt'] as const)(
    '%s is tried again when it may pass',
    async (step) => {
      const error = said('Could not open /p/a: No space left on device');
      expect(await failureOf(step, error)).toBe(error);
    },
  );
});

describe('A point of no return', () => {
  const end = (error: Error, isUntouched: boolean) =>
    orRefused(
      () => Promise.reject(error),
      () => Promise.resolve(isUntouched),
    );
  const lasting = said('error: XML error: no source');

  it('is refused for good only while nothing has changed', async () => {
    expect(await end(lasting, true)).toEqual({
      outcome: 'refused',
      reason: 'XML error: no source',
    });
    await expect(end(lasting, false)).rejects.toBe(lasting);
  });

  it('is refused by what a step gave up, and tried again for what passes', async () => {
    const given = givenUp({ attempted: 'holding', now: 'no daemon is there', next: 'Install it' });
    expect(await end(given, true)).toEqual({ outcome: 'refused', reason: 'no daemon is there' });
    const passing = said('error: Timed out during operation');
    await expect(end(passing, true)).rejects.toBe(passing);
    expect(lastingIn(new Error('Permission denied'))).toBeNull();
  });
});
