/** With a key a move works as ever, and the server's history tells nothing of its image. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { KEY_FILE } from '../../../worker/environment/payload-codec.ts';
import { awaitRemoval, connectTo } from '../../support/host/roles/blockflow-client.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import {
  defineOff,
  digests,
  diskOf,
  inVault,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

let folder: string;
const system = useSystem(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-key-'));
  // The roles, too, have what this process has.
  process.env[KEY_FILE] = join(folder, 'payload.key');
  await writeFile(process.env[KEY_FILE], 'ab'.repeat(32), { mode: 0o600 });
  return startMoveSystem({ name: 'encrypted' });
});
afterAll(async () => {
  delete process.env[KEY_FILE];
  await rm(folder, { recursive: true });
});

/** All text and bytes in an event, however deep. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsOf);
}

it('A move is done and shown with the key, and hidden without it', async () => {
  const file = await defineOff(system, 'hidden');
  const before = await digests([file]);
  const blockflow = await connectTo(system);
  const move = await blockflow.start('MoveImage', { image: diskOf('hidden'), to: VAULT });
  const result = await move.result();
  await awaitRemoval(blockflow, result);
  await blockflow.close();
  expect(await digests([inVault(system, file)])).toEqual(before);

  const { events } = await system.client.workflow.getHandle('hidden/vda').fetchHistory();
  const texts = textsOf(events);
  expect(texts.filter((text) => text.includes(system.host.pools))).toEqual([]);

  const status = (key: string) =>
    commandLine({ ...environmentOf(system), [KEY_FILE]: key })('status', 'hidden/vda');
  expect((await status(process.env[KEY_FILE] ?? '')).printed).toContain('moved');
  const none = await status(join(folder, 'none.key'));
  expect(none.exitCode).toBe(2);
  expect(none.told).toContain('none.key cannot be read');
});
