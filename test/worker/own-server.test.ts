/** Who is let in by the fronts of `blockflow up`, and by what. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { tlsFiles } from '../../worker/environment/up-files.ts';
import { ensureCertificates } from '../../worker/up/certificates.ts';
import { createUiFront } from '../../worker/up/front/ui-front.ts';
import { ENTRY, issuePass, uiHostOf } from '../../worker/up/ui-pass.ts';

const KEY = 'key';
const HOUR_MS = 3600_000;
let front: Server | undefined;
afterEach(() => {
  front?.close();
  jest.restoreAllMocks();
});

async function startFront(): Promise<void> {
  // No Web UI is behind it: who is let in hears 502.
  front = createUiFront(KEY, 1).listen(0, '127.0.0.1');
  await once(front, 'listening');
}

function statusOf(path: string, cookie = ''): Promise<number | undefined> {
  const { port } = front?.address() as AddressInfo;
  const headers = { host: `${uiHostOf(KEY)}:${port}`, cookie };
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode));
    });
    asked.on('error', reject).end();
  });
}

describe('The front of the Web UI', () => {
  it('takes no cookie of the front before it', async () => {
    const before = `blockflow=${issuePass(KEY, 'session', Date.now() - 1000)}`;
    await startFront();
    expect(await statusOf('/', before)).toBe(403);
    expect(await statusOf('/', `blockflow=${issuePass(KEY, 'session')}`)).toBe(502);
  });

  it('lets its owner in when the clock was set back', async () => {
    await startFront();
    const now = Date.now();
    jest.spyOn(Date, 'now').mockReturnValue(now - HOUR_MS);
    expect(await statusOf(`${ENTRY}?pass=${issuePass(KEY, 'link')}`)).toBe(303);
    expect(await statusOf('/', `blockflow=${issuePass(KEY, 'session')}`)).toBe(502);
  });
});

it('replaces certificates that do not parse, or are not valid yet', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-tls-'));
  const { server } = tlsFiles(folder);
  const made = async () => {
    await ensureCertificates(folder);
    return readFile(server, 'utf8');
  };
  try {
    const first = await made();
    expect(await made()).toBe(first);
    await writeFile(server, 'not a certificate');
    const second = await made();
    expect(second).toContain('BEGIN CERTIFICATE');
    const now = Date.now();
    jest.spyOn(Date, 'now').mockReturnValue(now - HOUR_MS);
    expect(await made()).not.toBe(second);
  } finally {
    await rm(folder, { recursive: true });
  }
});
