/** What a newcomer's machine lacks, and what a killed agent leaves on it. */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ORCHESTRATOR_QUEUE } from '../../../workflows/operation/contract.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf, type Typed } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem();
let blockflow: Typed;
beforeAll(() => void (blockflow = commandLine(environmentOf(system))));

/** What it prints when something fails. */
async function doctor(...options: string[]): Promise<string> {
  const { exitCode, printed } = await blockflow('doctor', ...options);
  expect(exitCode).toBe(4);
  return printed;
}

/** A VM whose image is in a folder of its own, which no pool has. */
async function outside(vm: string): Promise<string> {
  const folder = join(system.host.root, `my ${vm}`);
  await mkdir(folder);
  await defineShutOff(system.host, vm, diskXml(await createImage(join(folder, `${vm}.qcow2`))));
  return folder;
}

it('a refusal and the doctor name the command that makes the pool of a folder', async () => {
  const folder = await outside('web1');
  const command = `blockflow pool add '${folder}'`;
  const move = ['move', 'web1', 'vdb', '--to', 'images', '--dry-run'];
  await says(blockflow(...move), 3, 'outside-pools', command);
  expect(await doctor()).toContain(`${folder} is in no active pool`);
  expect(await doctor()).toContain(command);
  await says(blockflow('pool', 'add', join(folder, 'none')), 3, 'there is no folder');
  await says(blockflow('pool', 'add', folder, '--name', 'images'), 3, 'name-taken', '--name');
  await says(blockflow('pool', 'add', folder, '--name', 'mine'), 0, 'Done: pool mine of');
  await says(blockflow('pool', 'add', folder), 0, `Pool mine of ${folder} is active already`);
  await system.host.virsh('pool-destroy', 'mine');
  await says(blockflow('pool', 'add', folder), 0, `pool mine of ${folder} is started`);
  expect(await system.host.virsh('pool-info', 'mine')).toMatch(/Autostart: +yes/);
  await says(blockflow(...move), 0, 'pool images');
});

it('doctor --fix makes the pools of all such folders', async () => {
  const folders = [await outside('web2'), await outside('web3')];
  const { printed } = await blockflow('doctor', '--fix');
  for (const folder of folders) expect(printed).not.toContain(`${folder} is in no active pool`);
  const pools = await system.host.virsh('pool-list', '--name');
  expect(pools.split('\n').map((name) => name.trim())).toEqual(
    expect.arrayContaining(['my web2', 'my web3']),
  );
});

it('a killed agent leaves no process, and the doctor sees that it has ended', async () => {
  await waitUntil('its virsh event', async () => (await watches()).length === 1);
  await system.killRole('host');
  await waitUntil('its virsh event to end', async () => (await watches()).length === 0);
  expect(await doctor()).toMatch(/agent of host h1: host@\S+, seen \d+ s ago, has ended/);
});

/** Processes of this system's libvirt that wait for events. */
async function watches(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
  return (await Promise.all(lines)).filter(
    (line) => line.includes(system.host.uri) && line.includes('\0event\0'),
  );
}

it('a refused operation is refused in status as it is in the list', async () => {
  await system.client.workflow
    .execute('LiveMerge', {
      workflowId: 'absent/vda',
      taskQueue: ORCHESTRATOR_QUEUE,
      args: [{ vm: 'absent', disk: 'vda', host: 'h1' }],
    })
    .catch(() => undefined);
  await says(blockflow('status', 'absent/vda'), 0, /^absent\/vda +LiveMerge +refused$/m);
});
