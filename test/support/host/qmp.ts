/** Speaks to the QEMU of a VM whose libvirtd is dead, as that would have done a moment later. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { PrivateHost } from './private-host.ts';

const message = z.looseObject({
  return: z.union([z.array(z.object({ device: z.string() })), z.looseObject({})]).optional(),
  event: z.string().optional(),
  data: z.object({ status: z.string().optional() }).optional(),
});

/** Pivots the one block job of a VM, and returns when QEMU has concluded it. */
export async function pivotWithoutLibvirtd(host: PrivateHost, vm: string): Promise<void> {
  const folders = join(host.root, 'lib/qemu');
  const folder = readdirSync(folders).find((name) => new RegExp(`^domain-\\d+-${vm}$`).test(name));
  const socket = connect(join(folders, folder ?? '', 'monitor.sock'));
  await once(socket, 'connect');
  const say = (execute: string, more = {}) =>
    socket.write(`${JSON.stringify({ execute, ...more })}\n`);
  say('qmp_capabilities');
  say('query-block-jobs');
  for await (const line of createInterface({ input: socket })) {
    const { return: answer, event, data } = message.parse(JSON.parse(line));
    if (Array.isArray(answer)) say('job-complete', { arguments: { id: answer[0]?.device } });
    if (event === 'JOB_STATUS_CHANGE' && data?.status === 'concluded') break;
  }
  socket.destroy();
}
