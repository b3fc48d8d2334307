/** Rights of a copy: those of its source, or the copy fails, as on NFS with root_squash. */
import { chown, mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { copyRights } from '../../../activities/adapters/files/attributes.ts';
import { stubTool } from '../../support/scenes/stubbed-pool.ts';

const UID = 64055;
const { PATH } = process.env;
let folder = '';
const at = (name: string) => join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-rights-'));
  for (const name of ['source', 'target']) await writeFile(at(name), '');
  await chown(at('source'), UID, UID);
  await mkdir(at('bin'));
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(folder, { recursive: true });
});

async function copyToTarget(): Promise<void> {
  const file = await open(at('target'), 'r+');
  await copyRights(at('source'), file).finally(() => file.close());
}
const ownerOf = async (name: string) => (await stat(at(name))).uid;

it('An owner that is refused to root fails the copy, and is given where it is not', async () => {
  // Without that right root meets what the server answers there: EPERM.
  await stubTool(at('bin'), 'cp', `PATH='${PATH}' exec setpriv --bounding-set -chown cp "$@"`);
  process.env['PATH'] = `${at('bin')}:${PATH}`;
  await expect(copyToTarget()).rejects.toThrow(/preserve ownership.*not permitted/);
  expect(await ownerOf('target')).toBe(0);
  process.env['PATH'] = PATH;
  await copyToTarget();
  expect(await ownerOf('target')).toBe(UID);
});
