/** The systemd units, what is told to systemd, and roles that are started again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from '@jest/globals';
import { execa } from 'execa';
import { roleNames } from '../../worker/roles/start.ts';
import { installService, uninstallService } from '../../worker/service/install.ts';
import { tellReady } from '../../worker/service/notify.ts';
import { assertStateMoved } from '../../worker/service/old-state.ts';
import { unitName } from '../../worker/service/unit.ts';
import { writeUpFile } from '../../worker/up/keep-up-file.ts';
import { waitUntil } from '../support/wait-until.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-units-'));
});
afterEach(() => rm(folder, { recursive: true }));

const served = ['up', ...roleNames] as const;
const command = [process.execPath, '/srv/50% of "it"/blockflow.mjs', 'up', '--host', 'a$b'];

describe.each(served)('The unit of %s', (name) => {
  it('is one that systemd takes without a complaint', async () => {
    const { path } = await installService(name, command, folder);
    const { all } = await execa('systemd-analyze', ['verify', '--man=no', path], { all: true });
    expect(all).toBe('');
    expect((await stat(path)).mode & 0o777).toBe(0o644);
  });

  it('is exposed at most as far as its agent needs', async () => {
    const { path } = await installService(name, command, folder);
    const limit = ['--offline=true', '--threshold=50', '--no-pager'];
    await execa('systemd-analyze', ['security', ...limit, path]);
  });

  it('lets what outlives an agent run on, and keeps its folders to itself', async () => {
    const { path } = await installService(name, command, folder);
    const unit = await readFile(path, 'utf8');
    for (const line of [
      ...['Type=notify', 'KillMode=process', 'Restart=always', 'UMask=0077'],
      ...['StateDirectoryMode=0700', 'RuntimeDirectoryMode=0700', 'RuntimeDirectoryPreserve=yes'],
    ]) {
      expect(unit).toContain(`\n${line}\n`);
    }
    expect(unit).toContain('"/srv/50%% of \\"it\\"/blockflow.mjs" "up" "--host" "a$$b"');
    expect(await uninstallService(name, folder)).toBe(join(folder, unitName(name)));
    await expect(uninstallService(name, folder)).rejects.toThrow('there is no');
  });
});

describe('State of an `up` by hand', () => {
  it('is to be moved before the service starts', async () => {
    const [old, service] = [join(folder, 'old'), join(folder, 'service')];
    await mkdir(old);
    expect(() => assertStateMoved(old, service)).not.toThrow();
    await writeFile(join(old, 'temporal.db'), '');
    const refusal = { next: expect.stringContaining(`mv ${old} ${service}`) as unknown };
    expect(refusalOf(() => assertStateMoved(old, service))).toMatchObject(refusal);
    await writeUpFile(old, { host: 'h1', libvirtUri: 'test:///default', temporal: null });
    const running = { ...refusal, message: expect.stringContaining('runs') as unknown };
    expect(refusalOf(() => assertStateMoved(old, service))).toMatchObject(running);
    await rename(old, service);
    expect(() => assertStateMoved(old, service)).not.toThrow();
  });
});

function refusalOf(act: () => void): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Node has no datagram sockets of Unix. */
const LISTENER = `
use Socket; $| = 1;
socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un($ARGV[0])) or die;
print "listening\\n";
while (defined(recv($s, my $words, 4096, 0))) { print "$words\\n"; }
`;

test('systemd is told of the start, of each third of the watchdog, and of the end', async () => {
  const path = join(folder, 'notify');
  const listener = spawn('perl', ['-e', LISTENER, path]);
  let heard = '';
  listener.stdout.on('data', (words: Buffer) => (heard += String(words)));
  await waitUntil('the listener', () => heard.includes('listening'));
  const stop = await tellReady({ NOTIFY_SOCKET: path, WATCHDOG_USEC: '300000' });
  await waitUntil('two signs of life', () => heard.split('WATCHDOG=1').length > 2);
  await stop();
  expect(heard).toMatch(/READY=1\nMAINPID=\d+[^]*WATCHDOG=1[^]*STOPPING=1/);
  expect(heard).toContain(`MAINPID=${process.pid}`);
  listener.kill();
  await once(listener, 'exit');
});
