/**
 * EIO below a move, once and always, at each place where it meets the storage: given up with all
 * as it was, and never a switch onto a bad copy.
 */
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { sample } from '../../support/sample.ts';
import { extentsOf, type Extent } from '../../support/guest/disks/extents.ts';
import { armFault } from '../../support/faults/faults.ts';
import { forgetCached, mountFaulty, type DiskError } from '../../support/faults/faulty-mount.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  digests,
  diskOf,
  expectIntact,
  removalOf,
  startMove,
  startMoveSystem,
  undoOf,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const MIB = 2 ** 20;
let count = 0;
const disk = use('the disk', () => mountFaulty(120));
const system = useSystem(() => startMoveSystem({ name: 'moveio', vault: disk.path }));

type Request = Omit<Parameters<typeof startMove>[1], 'image'>;
/** Where the error strikes: the agent stands still at an effect until the disk is broken. */
interface Place {
  name: string;
  /** The part of the move that fails. */
  part: 'copy' | 'verify';
  request: Request;
  at: { effect: Parameters<typeof armFault>[1]['effect']; action: 'stop-before' | 'stop-after' };
  error(source: string): Promise<Omit<DiskError, 'once'>>;
}

const TO_VAULT: Request = { to: VAULT };
const places: Place[] = [
  {
    name: 'read of the source',
    part: 'copy',
    request: { to: POOL },
    at: { effect: 'image.start-copy', action: 'stop-before' },
    error: async (source) => ({ on: 'read', sector: await dataSector(source) }),
  },
  {
    // The only target whose place on the disk is known before it is written.
    name: 'write to the target',
    part: 'copy',
    request: { ...TO_VAULT, format: 'raw', preallocation: 'falloc' },
    at: { effect: 'image.start-copy', action: 'stop-before' },
    error: async (source) => {
      const { start } = await dataOf(source);
      return { on: 'write', sector: await disk.sectorOf(await staged('part'), start + MIB) };
    },
  },
  {
    name: 'flush of the target by QEMU',
    part: 'copy',
    request: TO_VAULT,
    at: { effect: 'image.start-copy', action: 'stop-before' },
    error: () => Promise.resolve({ on: 'flush' }),
  },
  {
    name: 'flush of the target by the agent',
    part: 'copy',
    request: TO_VAULT,
    at: { effect: 'image.complete-copy', action: 'stop-before' },
    error: () => Promise.resolve({ on: 'flush' }),
  },
  {
    name: 'read of the copy',
    part: 'verify',
    request: TO_VAULT,
    at: { effect: 'image.complete-copy', action: 'stop-after' },
    error: async () => ({ on: 'read', sector: await dataSector(await staged('copied')) }),
  },
];

/** A file of the copy under way. */
const staged = (stage: string) => disk.find(`*.${stage}`);

/** The largest piece of data of an image. */
async function dataOf(image: string): Promise<Extent> {
  const extents = await extentsOf(image);
  const [largest] = extents.filter(({ data }) => data).sort((a, b) => b.length - a.length);
  return largest as Extent;
}

async function dataSector(image: string): Promise<number> {
  const { offset } = await dataOf(image);
  return disk.sectorOf(image, offset + MIB);
}

/** A VM that is off, with its disk in the pool that the move is not to. */
async function sourceFor({ to }: Request, vm: string): Promise<string> {
  const file = await defineOff(system, vm, { bytes: 8 * MIB });
  if (to === VAULT) return file;
  const there = await startMove(system, { image: diskOf(vm) });
  await removalOf(system, await there.result());
  return join(disk.path, basename(file));
}

const folderOf = (pool?: string) => (pool === VAULT ? disk.path : join(system.host.pools, POOL));

/** The source is what it was, the record names it, the VM starts; nothing else is there. */
async function expectUntouched(vm: string, file: string, before: object, to?: string) {
  await forgetCached(file);
  expect(await poolFiles(folderOf(to))).toEqual([]);
  expect(await copiers(system)).toEqual([]);
  await expectIntact(system, { vm, file, before });
}

async function strike(place: Place, once: boolean): Promise<void> {
  const { part, request, at } = place;
  const vm = `moveio${++count}`;
  const file = await sourceFor(request, vm);
  const before = await digests([file]);
  armFault(system.trace, at);
  const move = await startMove(system, { image: diskOf(vm), ...request });
  await system.roleStopped('host');
  const found = await place.error(file);
  await disk.forget();
  const heal = await disk.fail({ ...found, once });
  system.signalRole('host', 'SIGCONT');
  const failed: unknown = await move.result().catch((error: unknown) => error);
  const failure = failureDetails(failed);
  await heal();
  await undoOf(system, move);
  expect(failure).toMatchObject({ type: 'Retry', details: { part } });
  expect(failure?.details.now).toMatch(/(Input\/output|i\/o) error.*; the source is untouched/s);
  await expectUntouched(vm, file, before, request.to);
  // The VM has run, and written.
  const read = await contents([file]);
  const again = await startMove(system, { image: diskOf(vm), ...request });
  const result = await again.result();
  await removalOf(system, result);
  const target = result.chainAfter[0] as string;
  await forgetCached(target);
  const format = request.format === 'raw' ? 'raw' : 'qcow2';
  expect(await contents([target], [format])).toEqual(read);
  await execa('rm', [target]);
}

const cases = places.flatMap((place) =>
  (['once', 'always'] as const).map((often) => ({ often, ...place, place })),
);

describe('EIO below a move', () => {
  it.each(sample('errors of moves', cases, 5))(
    '$often, $name: given up, all is as it was',
    ({ place, often }) => strike(place, often === 'once'),
  );
});
