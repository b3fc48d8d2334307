/** Whose a reservation is: of an undo and a repeated request that want it, one has it. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writeReservation, readManifests } from '../../../activities/pool-folder/reservation.ts';
import {
  abandonReservation,
  claimReservation,
  belongsToAnother,
} from '../../../activities/pool-folder/owner.ts';

let pool: string;
let folder: string;
const [first, second] = [randomUUID(), randomUUID()];
beforeEach(async () => {
  pool = await mkdtemp(join(tmpdir(), 'blockflow-pool-'));
  folder = join(pool, '.blockflow', randomUUID());
  await writeReservation(folder, { owner: first, text: 'the plan' });
});
afterEach(() => rm(pool, { recursive: true }));

const owners = async () => (await readManifests(pool)).map(({ owner }) => owner);

describe('A reservation', () => {
  it('that a later run has claimed is not abandoned for the earlier one', async () => {
    expect(await claimReservation(folder, second)).toBe(true);
    expect(await belongsToAnother(folder, [first])).toBe(true);
    expect(await abandonReservation(folder, [first])).toBe(false);
    expect(await owners()).toEqual([second]);
    expect(await abandonReservation(folder, [second])).toBe(true);
    expect(await owners()).toEqual([null]);
  });

  it('that was abandoned cannot be claimed, and any owner can abandon it again', async () => {
    expect(await abandonReservation(folder, [first])).toBe(true);
    expect(await claimReservation(folder, second)).toBe(false);
    expect(await claimReservation(folder, first)).toBe(false);
    expect(await abandonReservation(folder, [second])).toBe(true);
    expect(await belongsToAnother(folder, [second])).toBe(false);
  });

  it('is claimed again by who has it, and abandoned for its predecessor', async () => {
    expect(await claimReservation(folder, first)).toBe(true);
    expect(await abandonReservation(folder, [second, first])).toBe(true);
  });

  it('that is gone cannot be claimed, and need not be abandoned', async () => {
    await rm(folder, { recursive: true });
    expect(await claimReservation(folder, second)).toBe(false);
    expect(await abandonReservation(folder, [first])).toBe(true);
  });

  it('has one of two who want it at once, a hundred times', async () => {
    for (let round = 0; round < 100; round++) {
      folder = join(pool, '.blockflow', randomUUID());
      await writeReservation(folder, { owner: first, text: 'the plan' });
      const [claimed, abandoned] = await Promise.all([
        claimReservation(folder, second),
        abandonReservation(folder, [first]),
      ]);
      expect([claimed, abandoned]).not.toEqual([claimed, claimed]);
      expect(await readdir(folder)).toEqual([claimed ? `${second}.json` : 'abandoned.json']);
    }
  });
});
