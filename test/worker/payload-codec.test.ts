/** Encryption of payloads: with one key readable, without it not, and never altered unseen. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import {
  createPayloadCodec,
  KEY_FILE,
  payloadEncryption,
} from '../../worker/environment/payload-codec.ts';

const [ours, others] = [
  createPayloadCodec(Buffer.alloc(32, 1)),
  createPayloadCodec(Buffer.alloc(32, 2)),
];
const payload = defaultPayloadConverter.toPayload({ path: '/pools/images/secret.qcow2' });

it('gives back what it has hidden', async () => {
  const [hidden] = await ours.encode([payload]);
  expect(Buffer.from(hidden?.data ?? []).toString('latin1')).not.toContain('secret');
  const [shown] = await ours.decode([hidden ?? {}]);
  expect(defaultPayloadConverter.fromPayload(shown ?? {})).toEqual({
    path: '/pools/images/secret.qcow2',
  });
});

it('adds little to a plan, which a history has to hold', async () => {
  const plan = defaultPayloadConverter.toPayload('x'.repeat(100_000));
  const [hidden] = await ours.encode([plan]);
  expect(hidden?.data?.length).toBeLessThan(101_000);
});

it('hides the same value in another way each time', async () => {
  const [one, other] = await ours.encode([payload, payload]);
  expect(one?.data).not.toEqual(other?.data);
});

it('passes what was never hidden', async () => {
  expect(await ours.decode([payload])).toEqual([payload]);
});

it('names both keys when it has another one', async () => {
  const hidden = await others.encode([payload]);
  await expect(ours.decode(hidden)).rejects.toThrow(/the key [0-9a-f]{16}; ours is [0-9a-f]{16}/);
});

it('refuses what was altered', async () => {
  const [hidden] = await ours.encode([payload]);
  const data = Buffer.from(hidden?.data ?? []);
  data.writeUInt8(data.readUInt8(data.length - 1) ^ 1, data.length - 1);
  await expect(ours.decode([{ ...hidden, data }])).rejects.toThrow();
});

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-key-'));
  file = join(folder, 'payload.key');
});
afterAll(() => rm(folder, { recursive: true }));

it.each([
  { what: 'one that others may read', text: 'ab'.repeat(32), mode: 0o640, words: /chmod 600/ },
  { what: 'one that is too short', text: 'ab'.repeat(16), mode: 0o600, words: /64 hexadecimal/ },
])('takes no key file but a good one: $what', async ({ text, mode, words }) => {
  await writeFile(file, `${text}\n`);
  await chmod(file, mode);
  expect(() => payloadEncryption({ [KEY_FILE]: file })).toThrow(words);
});

it('is off without a key file, and fails for one that is not there', () => {
  expect(payloadEncryption({})).toEqual({});
  expect(() => payloadEncryption({ [KEY_FILE]: '/nowhere/key' })).toThrow(/cannot be read: ENOENT/);
});
