/**
 * Encrypts what workflows and activities are given and answer, so that the Temporal server and who
 * reads its history see no name, path or plan. With one key for clients, orchestrator and agents.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common';

/** Names the file with the key; without it nothing is encrypted. */
export const KEY_FILE = 'BLOCKFLOW_PAYLOAD_KEY_FILE';

/** The key cannot be used; nothing was sent. */
export class BadPayloadKey extends Error {
  override readonly name = 'BadPayloadKey';
}

/**
 * For `Client` and `Worker.create`.
 * @throws BadPayloadKey
 */
export function payloadEncryption(env = process.env): { dataConverter?: DataConverter } {
  const file = env[KEY_FILE];
  if (!file) return {};
  return { dataConverter: { payloadCodecs: [createPayloadCodec(readKey(file))] } };
}

function readKey(file: string): Buffer {
  const bad = (now: string, cause?: unknown) => new BadPayloadKey(`${file} ${now}`, { cause });
  let text: string;
  try {
    if ((statSync(file).mode & 0o077) !== 0) throw bad('can be read by others: chmod 600');
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error instanceof BadPayloadKey) throw error;
    throw bad(`cannot be read: ${(error as Error).message}`, error);
  }
  // As `openssl rand -hex 32` writes it.
  if (!/^[0-9a-f]{64}$/i.test(text)) throw bad('holds no key: 64 hexadecimal digits are one');
  return Buffer.from(text, 'hex');
}

const CIPHER = 'aes-256-gcm';
const ENCODING = 'binary/encrypted';
const [NONCE, TAG] = [12, 16];

const text = new TextEncoder();
const words = new TextDecoder();

/** Payloads that are not encrypted pass, as those of earlier operations and of the Web UI. */
export function createPayloadCodec(key: Buffer): PayloadCodec {
  const keyId = createHash('sha256').update(key).digest('hex').slice(0, 16);
  const metadata = {
    encoding: text.encode(ENCODING),
    'encryption-cipher': text.encode(CIPHER),
    'encryption-key-id': text.encode(keyId),
  };
  const encode = (payload: Payload): Payload => {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv(CIPHER, key, nonce);
    const hidden = Buffer.concat([cipher.update(toBytes(payload)), cipher.final()]);
    return { metadata, data: Buffer.concat([nonce, cipher.getAuthTag(), hidden]) };
  };
  const decode = (payload: Payload): Payload => {
    const { encoding, 'encryption-key-id': by } = payload.metadata ?? {};
    if (words.decode(encoding ?? undefined) !== ENCODING) return payload;
    const used = words.decode(by ?? undefined);
    if (used !== keyId) {
      throw new BadPayloadKey(`a payload is encrypted with the key ${used}; ours is ${keyId}`);
    }
    const data = Buffer.from(payload.data ?? []);
    const decipher = createDecipheriv(CIPHER, key, data.subarray(0, NONCE));
    decipher.setAuthTag(data.subarray(NONCE, NONCE + TAG));
    const shown = [decipher.update(data.subarray(NONCE + TAG)), decipher.final()];
    return fromBytes(Buffer.concat(shown));
  };
  return {
    encode: (payloads) => Promise.resolve(payloads.map(encode)),
    // A rejection, not an exception of the call.
    decode: (payloads) => Promise.resolve(payloads).then((all) => all.map(decode)),
  };
}

const LENGTH_BYTES = 4;
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

/** The length of what is said of the data, that as JSON, and the data, which grows by nothing. */
function toBytes({ metadata, data }: Payload): Buffer {
  const named = Object.entries(metadata ?? {}).map(([name, value]) => [name, base64(value)]);
  const said = Buffer.from(JSON.stringify(Object.fromEntries(named)));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(said.length);
  return Buffer.concat([length, said, data ?? Buffer.alloc(0)]);
}

function fromBytes(bytes: Buffer): Payload {
  const end = LENGTH_BYTES + bytes.readUInt32BE();
  const said = JSON.parse(bytes.toString('utf8', LENGTH_BYTES, end)) as Record<string, string>;
  const named = Object.entries(said).map(([name, value]) => [name, Buffer.from(value, 'base64')]);
  return {
    metadata: Object.fromEntries(named) as Record<string, Uint8Array>,
    data: bytes.subarray(end),
  };
}
