/** The Web UI of `blockflow up` in a browser: by a link of `blockflow ui`, and for it alone. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from '@jest/globals';
import { openWebUi } from './browser.ts';
import { says } from '../support/host/roles/says.ts';
import { startRunningUp } from '../support/host/roles/running-up.ts';
import { use } from '../support/use.ts';

const up = use('blockflow up', startRunningUp);

/** What another user serves on this machine, and what browsers tell it. */
async function serveElsewhere() {
  const heard: (string | undefined)[] = [];
  const server = createServer(({ headers }, response) => {
    heard.push(headers.cookie);
    response.end('elsewhere');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, heard, close: () => server.close() };
}

it('shows the operations to who has a link, and its cookie goes nowhere else', async () => {
  const link = (await says(up.blockflow('ui'), 0)).trim();
  const { origin, port } = new URL(link);
  const ui = await openWebUi(origin, up.folder);
  const elsewhere = await serveElsewhere();
  try {
    expect(await ui.visit(`${origin}/`)).toBe(403);
    await ui.shows('Run `blockflow ui`');
    expect(await ui.visit(link)).toBe(200);
    await ui.shows('BlockflowOperation IS NOT');
    await ui.expect('workflows', 'Workflow ID', 'Start Workflow');
    expect(await ui.visit(elsewhere.url)).toBe(200);
    expect(new Set(elsewhere.heard)).toEqual(new Set([undefined]));
    expect(await ui.visit(`http://127.0.0.1:${port}/`)).toBe(403);
  } finally {
    elsewhere.close();
    await ui.close();
  }
});
