/**
 * Records what libvirt, QEMU and qemu-img answer, for `replies.test.ts`: a VM with two snapshots
 * whose upper layer is being committed. Run it when another version is to be supported:
 * `node test/input/record-replies.ts`.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { createLibvirt } from '../../activities/adapters/virsh/domains.ts';
import { createGuestDisk } from '../support/guest/disks/guest-disk.ts';
import { defineGuest } from '../support/guest/guest.ts';
import { startPrivateHost } from '../support/host/private-host.ts';
import { takeExternalSnapshot } from '../support/guest/disks/snapshots.ts';
import { waitUntil } from '../support/wait-until.ts';

const folder = fileURLToPath(new URL('replies/', import.meta.url));
const host = await startPrivateHost({ name: 'replies' });
const libvirt = createLibvirt(host.uri);
const keep = (name: string, text: string) =>
  writeFile(join(folder, name), `${anonymous(text).trimEnd()}\n`);
const anonymous = (text: string) =>
  text.replaceAll(host.pools, '/pools').replaceAll(host.root, '/host');
const virsh = async (...args: string[]) =>
  (await execa('virsh', ['-q', '-c', host.uri, ...args], { env: { LC_ALL: 'C' } })).stdout;
const tool = async (file: string, ...args: string[]) => (await execa(file, args)).stdout;

try {
  const pool = await host.definePool('images');
  const base = join(pool, 'web1.qcow2');
  const disk = await createGuestDisk(base, { format: 'qcow2' });
  const guest = await defineGuest(host, { name: 'web1', disk });
  await guest.start();
  const layers = ['web1-snäp1.qcow2', 'web1-snap2.qcow2'].map((name) => join(pool, name));
  for (const [at, file] of layers.entries()) {
    await takeExternalSnapshot(host, 'web1', { file, name: `before "${at}"` });
    await guest.waitForAcks(100);
  }
  const uuid = (await virsh('domuuid', 'web1')).trim();
  await recordJob(uuid, base, layers);
  const events = execa('virsh', ['-q', '-c', host.uri, 'event', '--all', '--loop']);
  const limit = ['--bytes', '--bandwidth', '65536'];
  await virsh('blockcommit', uuid, 'vda', '--active', '--base', base, ...limit);
  await keep('domain-live.xml', await virsh('dumpxml', uuid));
  await keep('domain-inactive.xml', await virsh('dumpxml', uuid, '--inactive'));
  await keep('blockjob.txt', await virsh('blockjob', uuid, 'vda', '--raw', '--bytes'));
  await keep('dominfo.txt', await virsh(`dominfo ${uuid}; domstate ${uuid} --reason`));
  await keep('list.txt', await virsh('list', '--all', '--uuid', '--name'));
  await keep('pool-list.txt', await virsh('pool-list', '--uuid'));
  await keep('pool.xml', await virsh('pool-dumpxml', 'images'));
  await keep('snapshot.xml', await virsh('snapshot-dumpxml', uuid, 'before "1"'));
  await virsh('blockjob', uuid, 'vda', '--bytes', '--bandwidth', '0');
  await waitUntil('READY', async () => (await virsh('dumpxml', uuid)).includes("ready='yes'"));
  await keep('domain-ready.xml', await virsh('dumpxml', uuid));
  await virsh('blockjob', uuid, 'vda', '--abort');
  await virsh('destroy', uuid);
  events.kill();
  await keep('events.txt', (await events.catch((e: unknown) => e as { stdout: string })).stdout);
  const top = layers[1] as string;
  await keep('info.json', await tool('qemu-img', 'info', '-f', 'qcow2', '--output=json', top));
  await keep('map.json', await tool('qemu-img', 'map', '-f', 'raw', '--output=json', base));
  const measured = ['measure', '-f', 'qcow2', '-O', 'raw', '--output=json', top];
  await keep('measure.json', await tool('qemu-img', ...measured));
  await keep('qmp.txt', await qmpLines(base, join(pool, 'copy')));
} finally {
  libvirt.close();
  await host.close();
}

async function recordJob(uuid: string, base: string, layers: string[]): Promise<void> {
  const deletes = layers.map((path, at) => ({ path, pool: 'images', identity: `42:${at}` }));
  const ids = { jobId: '3f0c1d2e-8a7b-4c5d-9e6f-001122334455', workflow: 'web1/vda', disk: 'vda' };
  const words = { mode: 'active', phase: 'commit', top: layers.at(-1) ?? '', base } as const;
  await libvirt.setRecord(uuid, { ...ids, ...words, deletes }, ['--live', '--config']);
}

/** A whole conversation: greeting, answers, events, and a refusal. */
async function qmpLines(source: string, target: string): Promise<string> {
  await execa('cp', [source, target]);
  const socket = join(host.root, 'qmp');
  const node = (name: string, filename: string) =>
    JSON.stringify({ driver: 'file', 'node-name': name, filename });
  const daemon = execa(
    'qemu-storage-daemon',
    [
      ...['--blockdev', node('from', source), '--blockdev', node('to', target)],
      ...['--chardev', `socket,id=c,path=${socket},server=on,wait=off`, '--monitor', 'chardev=c'],
    ],
    { reject: false },
  );
  await waitUntil('the daemon', () => existsSync(socket));
  const connection = createConnection(socket);
  await once(connection, 'connect');
  const say = (execute: string, more?: object) =>
    connection.write(`${JSON.stringify({ execute, ...(more ? { arguments: more } : {}) })}\n`);
  const job = { 'job-id': 'copy-0', sync: 'full', speed: 65536, 'auto-dismiss': false };
  say('qmp_capabilities');
  say('blockdev-mirror', { ...job, device: 'from', target: 'to' });
  say('query-jobs');
  say('query-block-jobs');
  say('job-dismiss', { id: 'copy-0' });
  let text = '';
  connection.setEncoding('utf8').on('data', (more: string) => (text += more));
  await waitUntil('the refusal', () => text.includes('"error"'));
  connection.destroy();
  daemon.kill('SIGKILL');
  await daemon;
  return text;
}
