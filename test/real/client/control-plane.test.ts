/** The server of `blockflow up` answers its owner, and no one else on the machine. */
import { readdir, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { findTemporalBinary } from '../../../worker/up/temporal-binary.ts';
import { says } from '../../support/host/roles/says.ts';
import { killAndWait } from '../../support/host/processes.ts';
import { startRunningUp, type RunningUp } from '../../support/host/roles/running-up.ts';
import { asOrdinaryUser } from '../../support/host/ordinary-user.ts';
import { strangerHears, type Heard } from '../../support/host/stranger.ts';
import { waitUntil } from '../../support/wait-until.ts';

let up: RunningUp;
beforeAll(async () => {
  up = await startRunningUp();
});
afterAll(() => up?.close());

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  at?: string;
}

/** To the Web UI, whatever name the URL has: that is for the browser to find. */
function ask(url: string, { method = 'GET', headers = {}, at: address = '127.0.0.1' }: Asked = {}) {
  const { host, port, pathname, search } = new URL(url);
  return new Promise<{ status: number | undefined; cookie: string; text: string }>(
    (resolve, reject) => {
      const path = `${pathname}${search}`;
      const at = { host: address, port, path, method, headers: { host, ...headers } };
      const asked = request(at, (answer) => {
        let text = '';
        answer.on('data', (words: Buffer) => (text += String(words)));
        const [cookie = ''] = answer.headers['set-cookie'] ?? [];
        answer.on('end', () => resolve({ status: answer.statusCode, cookie, text }));
      });
      asked.on('error', reject).end();
    },
  );
}

/** On a machine that has much to do, an agent may be reported as unavailable first. */
const untilServed = ({ blockflow }: RunningUp) =>
  waitUntil('an answer of all roles', async () => (await blockflow('spm')).exitCode === 0, PATIENT);
const PATIENT = { timeoutMs: 150_000 };

/** What is more than a refusal. */
const answersOf = (heard: Heard) =>
  Object.entries(heard).filter(([, what]) => !/^(nothing|400|403)$/.test(what));

const link = async () => (await says(up.blockflow('ui'), 0, /^http:/)).trim();

describe('Another user of the machine, and a page in a browser,', () => {
  it('hear nothing from any port of `up`', async () => {
    const ports = up.ports();
    expect(ports).toHaveLength(2);
    for (const port of ports) {
      expect(answersOf(await strangerHears(port))).toEqual([]);
    }
    await says(up.blockflow('list'), 0, /No operations/);
  });

  it('cannot read the keys, nor what the server has stored', async () => {
    for (const name of await readdir(up.stateDir)) {
      const { mode } = await stat(join(up.stateDir, name));
      if (/^(tls|temporal\.db)/.test(name))
        expect({ name, open: mode & 0o077 }).toEqual({ name, open: 0 });
    }
    expect(await readdir(join(up.stateDir, 'tls'))).not.toContain('authority.key');
  });
});

describe('Its owner', () => {
  it('is answered by all commands', async () => {
    await untilServed(up);
    await says(up.blockflow('events'), 0, /No events/);
  });

  it("is answered by any client, with Temporal's own configuration", async () => {
    const binary = (await findTemporalBinary()) ?? '';
    const env = {
      TEMPORAL_CONFIG_FILE: join(up.stateDir, 'temporal.toml'),
      TEMPORAL_ADDRESS: undefined,
    };
    const { stdout } = await execa(binary, ['operator', 'cluster', 'health'], { env });
    expect(stdout).toContain('SERVING');
    const tls = join(up.stateDir, 'tls');
    const { stdout: again } = await execa(binary, ['operator', 'cluster', 'health'], {
      env: {
        TEMPORAL_ADDRESS: /Temporal +(\S+)/.exec(up.said())?.[1] ?? '',
        TEMPORAL_TLS_SERVER_NAME: 'blockflow',
        TEMPORAL_TLS_SERVER_CA_CERT_PATH: join(tls, 'authority.pem'),
        TEMPORAL_TLS_CLIENT_CERT_PATH: join(tls, 'client.pem'),
        TEMPORAL_TLS_CLIENT_KEY_PATH: join(tls, 'client.key'),
      },
    });
    expect(again).toContain('SERVING');
  });

  it('enters the Web UI by a link that works once', async () => {
    const url = await link();
    const entered = await ask(url);
    expect(entered).toMatchObject({ status: 303, cookie: /HttpOnly; SameSite=Strict/ });
    expect((await ask(url)).status).toBe(403);
    const cookie = entered.cookie.split(';')[0] ?? '';
    const page = new URL('/', url).href;
    // Browsers look for its name at ::1 first, where no one else may listen.
    for (const at of ['127.0.0.1', '::1']) {
      expect(await ask(page, { at, headers: { cookie } })).toMatchObject({ status: 200 });
    }
    const api = new URL('/api/v1/namespaces', url).href;
    expect((await ask(api, { headers: { cookie } })).text).toContain('"default"');
    // With its cookie stolen or sent by a foreign page, too.
    const { port } = new URL(url);
    const elsewhere = { headers: { cookie, host: `127.0.0.1:${port}` } };
    expect((await ask(page, elsewhere)).status).toBe(403);
    const crossSite = { cookie, origin: 'http://evil.example' };
    for (const headers of [{ cookie }, crossSite]) {
      expect((await ask(api, { method: 'POST', headers })).status).toBe(403);
    }
    const ours = await ask(api, {
      method: 'POST',
      headers: { cookie, origin: new URL(url).origin },
    });
    expect(ours).toMatchObject({ status: 400, text: expect.stringContaining('csrf') as unknown });
    expect((await ask(page, { headers: { cookie: `${cookie.slice(0, -2)}xx` } })).status).toBe(403);
  });
});

describe('An ordinary user', () => {
  it('has such a server, too', async () => {
    const own = await startRunningUp(asOrdinaryUser);
    try {
      const ports = own.ports();
      expect(ports).toHaveLength(2);
      for (const port of ports) expect(answersOf(await strangerHears(port))).toEqual([]);
      await untilServed(own);
      await says(own.blockflow('ui'), 0, /^http:/);
    } finally {
      await own.close();
    }
  });
});

describe('The server', () => {
  it('is started again at the same ports when it dies, and the roles with it go on', async () => {
    const [before, ports] = [up.temporalPid() ?? 0, up.ports()];
    await killAndWait(before);
    await waitUntil(
      'another server',
      () => ![undefined, before].includes(up.temporalPid()),
      PATIENT,
    );
    await waitUntil('its ports', () => up.ports().length === 2, PATIENT);
    expect(up.ports().sort()).toEqual(ports.sort());
    await untilServed(up);
  });

  it('ends with `up`, however that ends', async () => {
    await up.end('SIGKILL');
    await waitUntil('the end of the server', () => up.temporalPid() === undefined);
    await says(up.blockflow('ui'), 3, 'no-web-ui', 'Start `blockflow up`');
  });
});
