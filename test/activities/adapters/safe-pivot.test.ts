/** The pivot's script against a `virsh` that writes down what it is told. */
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { awaitPivotScript, reloadGuest } from '../../../activities/adapters/virsh/safe-pivot.ts';
import { awaitSnapshotScript } from '../../../activities/adapters/virsh/safe-snapshot.ts';
import {
  commands,
  pivot,
  read,
  root,
  runPivot,
  set,
  UUID,
  vda,
} from '../../support/scenes/pivot-script.ts';
import { waitUntil } from '../../support/wait-until.ts';

const READY = "<disk ><mirror job='copy' ready='yes'><target dev='vda'/>";
const UNHEARD = READY.replace(" ready='yes'", '');
const RAW = `blockjob ${UUID} vda --raw`;

describe('The safe pivot', () => {
  it('announces, suspends, pivots, verifies and flushes the persistent XML, resumes', async () => {
    const report = await pivot();
    expect(await commands()).toEqual([
      `domstate ${UUID} --reason`,
      `domblklist --inactive ${UUID}`,
      `metadata ${UUID} --uri urn:blockflow:job:vda --key blockflow --set '<job/>' --live`,
      `suspend ${UUID}`,
      `blockjob ${UUID} vda --raw`,
      `blockjob ${UUID} vda --pivot`,
      `domblklist ${UUID} --inactive`,
      `sync ${root}`,
      `resume ${UUID}`,
    ]);
    expect(report).toMatchObject({ pivot: 'done', guest: 'running', resumed: true });
    expect(report?.stallMs).toBeGreaterThanOrEqual(0);
    expect(await read('state')).toMatch(/^running/);
  });

  it.each(['to', 'folder', 'record'] as const)(
    'is not begun with two lines as %s',
    async (name) => {
      const text = { [name]: '/images/a\n/etc/passwd' };
      const running = name === 'folder' ? pivot(text) : runPivot({}, [{ ...vda(), ...text }]);
      await expect(running).rejects.toThrow('one line');
      await expect(commands()).rejects.toThrow('ENOENT');
    },
  );

  it('resumes the guest when QEMU refuses the pivot, and tells the words', async () => {
    await set({ pivot: 'error: block copy still active' });
    const report = await pivot();
    // Those of libvirt alone: its echo may be cut to the width of a terminal.
    expect(report?.pivot.trim()).toBe('failed block copy still active');
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

  // virsh may tell it before the next answer only, and has connected again then.
  it('takes a pivot whose answer was lost for none that was refused', async () => {
    await set({ pivot: 'error: End of file while reading data: Input/output error' });
    expect(await pivot()).toMatchObject({ pivot: 'unknown', resumed: true });
    const last = (await commands()).slice(-3);
    expect(last).toContain(`domblklist ${UUID} --inactive`);
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

  // Each try would lease the disks before that one (docs/lab/lock-manager.md).
  it('leaves a guest that libvirt does not resume for a lease to the agent, at once', async () => {
    const busy = "resource busy: Lockspace resource '/images/base.qcow2' is locked";
    await set({ unresumed: `error: Failed to resume domain 'x'\nerror: ${busy}` });
    const report = await pivot();
    const words = `Failed to resume domain 'x': ${busy}`;
    expect(report).toMatchObject({ pivot: 'done', resumed: false, refused: words });
    const tries = (await commands()).filter((line) => line.startsWith('resume'));
    expect(tries).toHaveLength(1);
  });

  it('tries again where libvirt refuses for another reason, and reports it meanwhile', async () => {
    await set({ unresumed: 'error: Failed to connect socket' });
    const resultFile = join(root, 'run/pivot');
    const running = pivot({}, resultFile);
    await waitUntil('the report', async () => {
      const text = await readFile(resultFile, 'utf8').catch(() => '');
      return /resumed=no\nrefused=Failed to connect socket$/m.test(text);
    });
    await set({ unresumed: '' });
    expect(await running).toMatchObject({ pivot: 'done', resumed: true });
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

  it.each([
    ['a pivot', () => awaitPivotScript(join(root, `run/pivot-${UUID}-vda`))],
    ['a snapshot', () => awaitSnapshotScript(join(root, `run/pivot-${UUID}`))],
  ])('is waited for as long as it has its lock, before its report too: %s', async (_, wait) => {
    await mkdir(join(root, 'run'));
    const holder = execa('flock', [join(root, `run/pivot-${UUID}.lock`), 'sh', '-c', 'echo; cat']);
    await once(holder.stdout, 'data');
    const seen: string[] = [];
    const waited = wait().then(() => seen.push('waited'));
    await execa('true');
    seen.push('freed');
    holder.stdin.end();
    await waited;
    expect(seen).toEqual(['freed', 'waited']);
  });

  it('counts no guest as saved because another process had the lock', async () => {
    await mkdir(join(root, 'run'));
    const state = join(root, `run/pivot-${UUID}`);
    const holder = execa('flock', [`${state}.lock`, 'sh', '-c', 'echo; cat']);
    await once(holder.stdout, 'data');
    const { ino } = await stat(`${state}.lock`);
    const reloaded = reloadGuest('test:///x', state, { uuid: UUID, after: 'running' });
    const outcome = expect(reloaded).rejects.toThrow('looked at again');
    const waits = new RegExp(`-> FLOCK .*:${ino} `);
    await waitUntil('a wait', async () => waits.test(await readFile('/proc/locks', 'utf8')));
    holder.stdin.end();
    await outcome;
    await expect(commands()).rejects.toThrow('ENOENT');
    await reloadGuest('test:///x', state, { uuid: UUID, after: 'running' });
    expect((await commands()).join()).toContain(`managedsave ${UUID} --running`);
  });

  it('waits for READY while the guest is suspended, and pivots then', async () => {
    await set({ xml: UNHEARD, job: 'cur=6 end=7', log: '' });
    const settled = pivot({ budgetMs: 60_000 });
    await waitUntil('a look', async () => (await commands()).at(-1) === RAW);
    await set({ job: 'cur=7 end=7' });
    // libvirt refuses a pivot until it has heard of READY.
    await waitUntil('a look', async () => (await commands()).at(-1) === `dumpxml ${UUID}`);
    await set({ xml: READY });
    expect(await settled).toMatchObject({ pivot: 'done', resumed: true, isBehind: false });
  });

  it('waits for what a job at READY has left, and pivots then', async () => {
    await set({ xml: READY, job: 'cur=6 end=7', log: '' });
    const settled = pivot({ budgetMs: 60_000 });
    await waitUntil('two looks', async () => (await commands()).indexOf(RAW, 6) > 0);
    await set({ job: 'cur=7 end=7' });
    const report = await settled;
    expect(report).toMatchObject({ pivot: 'done', resumed: true, isBehind: false });
    expect(report?.waitedMs).toBeGreaterThan(0);
  });

  it('resumes without a pivot when a job at READY has more left than fits', async () => {
    await set({ xml: READY, job: 'cur=6 end=7' });
    const report = await pivot();
    expect(report).toMatchObject({ isBehind: true, resumed: true });
    expect(report?.pivot).toMatch(/^failed not READY after 150 ms/);
    expect((await commands()).join()).not.toContain('--pivot');
  });

  it('does not go on with a libvirtd that it has not asked for the rest', async () => {
    const lost = 'error: Disconnected from test:///x due to end of file';
    await set({ xml: READY, job: lost, log: '' });
    const running = pivot();
    await waitUntil('a look', async () => (await commands()).includes(RAW));
    await set({ job: 'cur=7 end=7' });
    expect(await running).toMatchObject({ pivot: 'unknown', resumed: true });
    expect((await commands()).join()).not.toContain('--pivot');
  });

  it('resumes without a pivot when the job is not READY in time', async () => {
    await set({ xml: UNHEARD, job: 'cur=6 end=7', log: '' });
    const report = await pivot();
    expect(report?.pivot).toMatch(/^failed not READY after 150 ms/);
    expect(report?.isBehind).toBe(true);
    expect([report?.resumed, await read('state')]).toEqual([true, 'running (unpaused)']);
  });

  it('lets two pivots of one VM run one after the other', async () => {
    await Promise.all([pivot(), pivot()]);
    const seen = (await commands()).map((line) => line.split(' ')[0]);
    const [before, after] = [
      ['domstate', 'domblklist', 'metadata'],
      ['suspend', 'blockjob', 'blockjob', 'domblklist', 'sync', 'resume'],
    ];
    const one = [...before, ...after];
    expect(seen).toEqual([...one, ...one]);
  });
});
