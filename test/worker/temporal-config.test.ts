/** Which Temporal server the environment means. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { temporalConfig } from '../../worker/environment/temporal-config.ts';
import { profilePath } from '../../worker/environment/up-files.ts';

const NAMES = ['TEMPORAL_CONFIG_FILE', 'TEMPORAL_ADDRESS', 'TEMPORAL_PROFILE'] as const;
const PROFILE = '[profile.default]\naddress = "127.0.0.1:17233"\n';
const before = NAMES.map((name) => [name, process.env[name]] as const);
let folder: string;
beforeEach(async () => {
  for (const name of NAMES) delete process.env[name];
  folder = await mkdtemp(join(tmpdir(), 'blockflow-config-'));
});
afterEach(async () => {
  for (const [name, value] of before) {
    delete process.env[name];
    if (value !== undefined) process.env[name] = value;
  }
  await rm(folder, { recursive: true });
});

describe('With TEMPORAL_CONFIG_FILE', () => {
  it("of the state folder, it is the server of this folder's `up`", async () => {
    await writeFile(profilePath(folder), PROFILE);
    process.env['TEMPORAL_CONFIG_FILE'] = `${folder}/./temporal.toml`;
    expect(temporalConfig(folder).source).toBe('default');
    process.env['TEMPORAL_PROFILE'] = 'default';
    expect(temporalConfig(folder).source).toBe('default');
    process.env['TEMPORAL_ADDRESS'] = '127.0.0.1:27233';
    const found = temporalConfig(folder);
    expect(found.source).toBe('environment');
    expect(found.connectionOptions.address).toBe('127.0.0.1:27233');
  });

  it('of someone else, it is the server in it', async () => {
    const file = join(folder, 'other.toml');
    await writeFile(file, PROFILE);
    process.env['TEMPORAL_CONFIG_FILE'] = file;
    const found = temporalConfig(folder);
    expect(found.source).toBe('environment');
    expect(found.connectionOptions.address).toBe('127.0.0.1:17233');
  });
});
