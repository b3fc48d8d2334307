/** The pivot's script against a `virsh` that writes down what it is told. */
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  awaitPivotScript,
  createPivots,
  type PivotRequest,
} from '../../../activities/adapters/virsh/safe-pivot.ts';
import { waitUntil } from '../../support/wait-until.ts';

const PATH = process.env['PATH'];
const UUID = '11111111-2222-4333-8444-555555555555';
let root: string;

/** Answers as virsh does in a session: each command is echoed, then its output. */
const STUB = `#!/bin/bash
cd "$(dirname "$0")"
answer() {
  echo "$1" >>log
  case $1 in
    suspend*) cat refusal; [[ -s refusal ]] || echo 'paused (user)' >state ;;
    resume*) echo 'running (unpaused)' >state ;;
    *' vdb --pivot') cat refused-vdb; grep -q error refused-vdb || echo /new/b.qcow2 >source-vdb ;;
    *' vdb --abort') cat refused-vdb ;;
    blockjob*--pivot) cat pivot; grep -q error pivot || echo /images/base.qcow2 >source ;;
    dumpxml*) cat xml ;;
    domblklist*) echo " vda      $(cat source)"; echo " vdb      $(cat source-vdb)" ;;
    domstate*) cat state ;;
  esac
}
if (($# > 3)); then answer "\${*:4}"; exit; fi
while IFS= read -r line; do echo "virsh # $line"; answer "$line"; done
`;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'blockflow-pivot-'));
  const bin = join(root, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'virsh'), STUB);
  await writeFile(join(bin, 'sync'), `#!/bin/sh\necho "sync $(readlink "$1")" >>'${bin}/log'\n`);
  for (const tool of ['virsh', 'sync']) await chmod(join(bin, tool), 0o755);
  await set({ state: 'running (booted)', source: '/images/top.qcow2', pivot: '', refusal: '' });
  await set({ 'source-vdb': '/old/b.qcow2', 'refused-vdb': '' });
  process.env['PATH'] = `${bin}:${PATH}`;
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(root, { recursive: true });
});

async function set(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(root, 'bin', name), text && `${text}\n`);
  }
}
const read = async (name: string) => (await readFile(join(root, 'bin', name), 'utf8')).trim();
const commands = async () =>
  (await read('log')).split('\n').filter((line) => !line.startsWith('echo'));

const run = async (changes: Partial<PivotRequest>, disks: PivotRequest['disks']) => {
  const pivots = createPivots('test:///x');
  const whole = { uuid: UUID, action: 'pivot' as const, persistent: true, folder: root };
  const request = { ...whole, settleMs: null };
  const reports = await pivots.run({ ...request, disks, ...changes });
  pivots.close();
  return reports;
};
const vda = (resultFile = join(root, 'run/pivot')) => ({
  disk: 'vda',
  job: 'active-commit' as const,
  to: '/images/base.qcow2',
  record: '<job/>',
  kept: null,
  resultFile,
});
const pivot = async (changes: Partial<PivotRequest> = {}, resultFile?: string) => {
  const [report] = await run(changes, [vda(resultFile)]);
  return report;
};
/** Of two copies, with one suspension. */
const both = async (action: PivotRequest['action'] = 'pivot') => {
  const of = (disk: string, to: string) => {
    const resultFile = join(root, `run/pivot-${UUID}-${disk}`);
    return { disk, job: 'copy' as const, to, record: null, kept: `job of ${disk}`, resultFile };
  };
  return run({ action }, [of('vda', '/images/base.qcow2'), of('vdb', '/new/b.qcow2')]);
};

describe('The safe pivot', () => {
  it('announces, suspends, pivots, verifies and flushes the persistent XML, resumes', async () => {
    const report = await pivot();
    expect(await commands()).toEqual([
      `domstate ${UUID} --reason`,
      `domblklist --inactive ${UUID}`,
      `metadata ${UUID} --uri urn:blockflow:job:vda --key blockflow --set '<job/>' --live`,
      `suspend ${UUID}`,
      `blockjob ${UUID} vda --pivot`,
      `domblklist ${UUID} --inactive`,
      `sync ${root}`,
      `resume ${UUID}`,
    ]);
    expect(report).toMatchObject({ pivot: 'done', guest: 'running', resumed: true });
    expect(report?.stallMs).toBeGreaterThanOrEqual(0);
    expect(await read('state')).toMatch(/^running/);
  });

  it('resumes the guest when QEMU refuses the pivot, and tells the words', async () => {
    await set({ pivot: 'error: block copy still active' });
    const report = await pivot();
    expect(report?.pivot).toContain('failed');
    expect(report?.pivot).toContain('still active');
    expect(report?.resumed).toBe(true);
    expect(await read('state')).toMatch(/^running/);
  });

  it('pivots no guest that could not be suspended', async () => {
    await set({ refusal: 'error: Timed out during operation' });
    const { pivot: said, resumed } = (await pivot()) ?? {};
    expect([said, resumed]).toEqual([expect.stringMatching(/^failed.*Timed out/), true]);
    expect(await commands()).not.toContain(`blockjob ${UUID} vda --pivot`);
    expect(await read('state')).toMatch(/^running/);
  });

  it('pivots no guest of which virsh lost the answer to its suspension', async () => {
    await set({ refusal: 'error: Disconnected from test:///x due to end of file' });
    expect(await pivot()).toMatchObject({ pivot: 'unknown', guest: 'running', resumed: true });
    expect(await commands()).not.toContain(`blockjob ${UUID} vda --pivot`);
    expect(await read('state')).toMatch(/^running/);
  });

  it('leaves a guest paused that the user had paused', async () => {
    await set({ state: 'paused (user)' });
    const report = await pivot();
    expect(report).toMatchObject({ pivot: 'done', guest: 'paused', stallMs: 0 });
    expect((await commands()).some((line) => /^(suspend|resume)/.test(line))).toBe(false);
    expect(await commands()).toContain(`sync ${root}`);
    expect(await read('state')).toBe('paused (user)');
  });

  it('suspends a guest that was resumed before', async () => {
    await set({ state: 'running (unpaused)' });
    expect(await pivot()).toMatchObject({ pivot: 'done', guest: 'running', resumed: true });
    expect(await commands()).toContain(`suspend ${UUID}`);
  });

  it('lets a guest run on that QEMU had paused for want of space', async () => {
    await set({ state: 'paused (I/O error)' });
    expect(await pivot()).toMatchObject({ pivot: 'done', guest: 'running', resumed: true });
    expect(await read('state')).toMatch(/^running/);
  });

  it('looks at no persistent XML of a transient domain', async () => {
    await pivot({ persistent: false });
    expect((await commands()).some((line) => line.startsWith('domblklist'))).toBe(false);
    expect(await read('state')).toMatch(/^running/);
  });

  it('pivots a domain whose folder is out of reach, or is gone', async () => {
    for (const folder of [null, join(root, 'gone')]) {
      await set({ state: 'running (booted)', source: '/images/top.qcow2' });
      expect(await pivot({ folder })).toMatchObject({ pivot: 'done', resumed: true });
    }
    expect((await commands()).some((line) => line.startsWith('sync'))).toBe(false);
  });

  it('leaves its report and no lock, also when virsh is gone', async () => {
    const resultFile = join(root, `run/pivot-${UUID}-vda`);
    await pivot({}, resultFile);
    await writeFile(join(root, 'bin/virsh'), '#!/bin/sh\n');
    await pivot({}, resultFile);
    expect(await readdir(join(root, 'run'))).toEqual([`pivot-${UUID}-vda`]);
  });

  it('is waited for as long as it has its lock', async () => {
    const resultFile = join(root, `run/pivot-${UUID}-vda`);
    await pivot({}, resultFile);
    const holder = execa('flock', [join(root, `run/pivot-${UUID}.lock`), 'sh', '-c', 'echo; cat']);
    await once(holder.stdout, 'data');
    const seen: string[] = [];
    const waited = awaitPivotScript(resultFile).then(() => seen.push('waited'));
    await readFile(resultFile);
    seen.push('freed');
    holder.stdin.end();
    await waited;
    expect(seen).toEqual(['freed', 'waited']);
  });

  it('waits for READY while the guest is suspended, and pivots then', async () => {
    await set({ xml: "<disk><mirror job='copy'><target dev='vda'", log: '' });
    const settled = pivot({ settleMs: 60_000 });
    await waitUntil('a look', async () => (await commands()).at(-1) === `dumpxml ${UUID}`);
    await set({ xml: "<disk><mirror job='copy' ready='yes'><target dev='vda'" });
    expect(await settled).toMatchObject({ pivot: 'done', resumed: true });
  });

  it('resumes without a pivot when the job is not READY in time', async () => {
    await set({ xml: "<disk><mirror job='copy'><target dev='vda'" });
    const report = await pivot({ settleMs: 200 });
    expect(report?.pivot).toMatch(/^failed: not READY after 150 ms/);
    expect([report?.resumed, await read('state')]).toEqual([true, 'running (unpaused)']);
  });

  it('switches several disks within one suspension', async () => {
    const reports = await both();
    expect((await commands()).slice(-6)).toEqual([
      `suspend ${UUID}`,
      `blockjob ${UUID} vda --pivot`,
      `blockjob ${UUID} vdb --pivot`,
      `domblklist ${UUID} --inactive`,
      `sync ${root}`,
      `resume ${UUID}`,
    ]);
    const said = { guest: 'running', pivot: 'done', resumed: true, disks: ['vda', 'vdb'] };
    expect(reports).toMatchObject([
      { ...said, copy: '/images/base.qcow2', kept: null },
      { ...said, copy: '/new/b.qcow2', kept: null },
    ]);
  });

  it('goes on with the others when one is refused, and resumes', async () => {
    await set({ pivot: 'error: block copy still active' });
    const [first, second] = await both();
    expect([first?.pivot, second?.pivot]).toEqual([expect.stringMatching(/^failed/), 'done']);
    expect([first?.resumed, await read('state')]).toEqual([true, 'running (unpaused)']);
    expect(await commands()).toContain(`sync ${root}`);
  });

  it('leaves the guest suspended when libvirt has forgotten one of several copies', async () => {
    await set({ 'refused-vdb': 'error: Disconnected from test:///x due to end of file' });
    const [first, second] = await both();
    expect([first?.pivot, second?.pivot]).toEqual(['done', 'unknown']);
    expect([first?.resumed, second?.resumed]).toEqual([false, false]);
    expect(await commands()).not.toContain(`resume ${UUID}`);
    expect(await read('state')).toBe('paused (user)');
  });

  it('ends several copies at one moment, and looks for no other record', async () => {
    const reports = await both('abort');
    expect((await commands()).slice(-4)).toEqual([
      `suspend ${UUID}`,
      `blockjob ${UUID} vda --abort`,
      `blockjob ${UUID} vdb --abort`,
      `resume ${UUID}`,
    ]);
    const said = { action: 'abort', pivot: 'done', resumed: true };
    expect(reports).toMatchObject([
      { ...said, kept: 'job of vda' },
      { ...said, kept: 'job of vdb' },
    ]);
  });

  it('lets two pivots of one VM run one after the other', async () => {
    await Promise.all([pivot(), pivot()]);
    const seen = (await commands()).map((line) => line.split(' ')[0]);
    const [before, after] = [
      ['domstate', 'domblklist', 'metadata'],
      ['suspend', 'blockjob', 'domblklist', 'sync', 'resume'],
    ];
    const one = [...before, ...after];
    expect(seen).toEqual([...one, ...one]);
  });
});
