/** A host that dies in the middle of a copy and never comes back: another one goes on. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { statusQuery } from '../../../workflows/kinds.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  copiers,
  digests,
  inVault,
  partBytes,
  removalOf,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { SECOND, startSecondHost } from '../../support/host/second-host.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { use } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const NAME = 'data.raw';
const first = use('the first host', () =>
  startMoveSystem({ name: 'h1', roles: ['orchestrator', 'host', 'spm'] }),
);
use('the second host', () => startSecondHost(first, [POOL, VAULT]));

it('after the move was terminated and the host retired, by the same request there', async () => {
  const images = join(first.host.pools, POOL);
  const file = join(images, NAME);
  await execa('dd', ['if=/dev/urandom', `of=${file}`, 'bs=1M', 'count=24', 'status=none']);
  const before = await digests([file]);
  const image = { kind: 'volume', pool: POOL, volume: NAME, format: 'raw' } as const;
  const move = await startMove(first, { image, bandwidthBytesPerSecond: 2 ** 20 });
  await waitUntil('the copy', async () => (await partBytes(first, NAME)) > 0);
  const { jobId } = await move.query(statusQuery);

  // Everything of that host dies, and its locks with it.
  const daemons = await copiers(first);
  await Promise.all([first.killRole('host'), first.killRole('spm')]);
  for (const daemon of daemons) process.kill(daemon, 'SIGKILL');
  const { away } = await untilStatus(move, 'the host to be missed', (status) => !!status.away);
  expect(away).toMatch(/^the agent of host-h1 does not answer/);
  await move.terminate('its host is gone for good');
  for (const pool of [POOL, VAULT]) {
    await rm(join(first.host.pools, pool, '.blockflow/hosts/h1'), { force: true });
  }

  const repeated = await startMove(first, { image, host: SECOND });
  const result = await repeated.result();
  expect(result).toMatchObject({ outcome: 'moved', verified: true, jobId });
  await removalOf(first, result);
  expect(await digests([inVault(first, file)])).toEqual(before);
  expect(await poolFiles(images)).toEqual([]);
  expect(await poolFiles(join(first.host.pools, VAULT))).toEqual([NAME]);
});
