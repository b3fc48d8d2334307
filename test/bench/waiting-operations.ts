/** CPU of a host agent, with everything that it started, while 100 operations wait at READY. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { statusQuery } from '../../workflows/contract.ts';
import { createGuestDisk } from '../support/guest-disk.ts';
import { guestDomainXml } from '../support/guest.ts';
import { POOL, startSharedSystem } from '../support/merge-scene.ts';
import { HOST, startMerge, type System } from '../support/system.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Row } from './figures.ts';

export async function waitingOperations(quick: boolean): Promise<Row[]> {
  const count = quick ? 10 : 100;
  const system = await startSharedSystem();
  try {
    const disks = await defineMany(system, count);
    const merges = await Promise.all(
      disks.map((disk) =>
        startMerge(system.client, { vm: 'many', disk, host: HOST, waitForDecision: true }),
      ),
    );
    for (const merge of merges) {
      await waitUntil(
        `${merge.workflowId} to wait for a decision`,
        async () => (await merge.query(statusQuery)).phase === 'waiting for a decision',
        { timeoutMs: 600_000, intervalMs: 500 },
      );
    }
    const agent = system.rolePid('host');
    const seconds = quick ? 10 : 30;
    const before = await cpuSeconds(agent);
    await sleep(seconds * 1000);
    const used = (((await cpuSeconds(agent)) - before) / seconds) * 100;
    return [
      {
        what: `CPU of a host agent with ${count} waiting operations`,
        measured: `${used.toFixed(1)} % of a core over ${seconds} s`,
        goal: 'under 5 %',
        met: used < 5,
      },
    ];
  } finally {
    await system.close();
  }
}

/** One VM with many disks on virtio-scsi, each with one overlay. */
async function defineMany(system: System, count: number): Promise<string[]> {
  const pool = join(system.host.pools, POOL);
  const boot = await createGuestDisk(join(pool, 'many.qcow2'), { format: 'qcow2' });
  const names = Array.from({ length: count }, (_, i) => target(i));
  for (const name of names) {
    const base = join(pool, `${name}.qcow2`);
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', base, '64M']);
    const overlay = ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base];
    await execa('qemu-img', [...overlay, join(pool, `${name}-snap.qcow2`)]);
  }
  const elements = names.map(
    (name) => `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='${join(pool, `${name}-snap.qcow2`)}'/>
      <target dev='${name}' bus='scsi'/></disk>`,
  );
  const xml = guestDomainXml({
    name: 'many',
    diskPath: boot.path,
    format: 'qcow2',
    serialPath: join(system.host.root, 'many.serial'),
    moreDevices: [`<controller type='scsi' model='virtio-scsi'/>`, ...elements].join('\n'),
  });
  const file = join(system.host.root, 'many.xml');
  await writeFile(file, xml);
  await system.host.virsh('define', file);
  await system.host.virsh('start', 'many');
  return names;
}

/** sda … sdz, sdaa … as libvirt counts. */
function target(index: number): string {
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const head = index >= 26 ? (letters[Math.floor(index / 26) - 1] ?? '') : '';
  return `sd${head}${letters[index % 26] ?? ''}`;
}

/** User and system time of a process and of everything it started, in seconds. */
async function cpuSeconds(root: number): Promise<number> {
  const stats = new Map<number, { parent: number; ticks: number }>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => null);
    if (text === null) continue;
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
    stats.set(Number(name), { parent: fields[1] ?? 0, ticks: utime + stime + cutime + cstime });
  }
  const below = (pid: number): number =>
    (stats.get(pid)?.ticks ?? 0) +
    [...stats].reduce((sum, [child, { parent }]) => sum + (parent === pid ? below(child) : 0), 0);
  return below(root) / 100;
}
