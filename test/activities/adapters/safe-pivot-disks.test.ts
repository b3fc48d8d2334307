/** The pivot's script for several disks of one VM, against a `virsh` that writes down all. */
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { PivotRequest } from '../../../activities/adapters/virsh/safe-pivot.ts';
import { commands, read, root, runPivot, set, UUID } from '../../support/scenes/pivot-script.ts';

/** Of two copies, with one suspension. */
const both = async (action: PivotRequest['action'] = 'pivot', more: Partial<PivotRequest> = {}) => {
  const of = (disk: string, to: string) => {
    const resultFile = join(root, `run/pivot-${UUID}-${disk}`);
    return { disk, job: 'copy' as const, to, record: null, kept: `job of ${disk}`, resultFile };
  };
  return runPivot({ action, ...more }, [
    of('vda', '/images/base.qcow2'),
    of('vdb', '/new/b.qcow2'),
  ]);
};

const EQUAL = 'cur=7\n end=7';
const MORE = 'cur=6\n end=7';

describe('The safe pivot of several disks', () => {
  it('switches several disks within one suspension', async () => {
    const reports = await both();
    expect((await commands()).slice(-8)).toEqual([
      `suspend ${UUID}`,
      `blockjob ${UUID} vda --raw`,
      `blockjob ${UUID} vdb --raw`,
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

  it.each([
    ['has more to copy in time', MORE, 'failed not READY after 75 ms'],
    ['has ended', '', 'failed a mirror is not READY'],
  ])('ends no copy when one %s: libvirt would call it well', async (_, second, pivot) => {
    await set({ job: EQUAL, 'job-vdb': second });
    const reports = await both('abort', { budgetMs: 75 });
    const said = { pivot, kept: null, resumed: true };
    expect(reports).toMatchObject([said, said]);
    expect((await commands()).join()).not.toContain('--abort');
  });

  it('switches none when one has more left than fits, and tells which', async () => {
    await set({ job: MORE, 'job-vdb': EQUAL });
    const reports = await both('pivot', { budgetMs: 75 });
    expect(reports).toMatchObject([
      { pivot: 'failed not READY after 75 ms', isBehind: true, resumed: true },
      { pivot: 'failed not READY after 75 ms', isBehind: false, resumed: true },
    ]);
    expect((await commands()).join()).not.toContain('--pivot');
  });

  it('ends several copies at one moment, and looks for no other record', async () => {
    await set({ job: EQUAL, 'job-vdb': EQUAL });
    const reports = await both('abort');
    expect((await commands()).slice(-6)).toEqual([
      `suspend ${UUID}`,
      `blockjob ${UUID} vda --raw`,
      `blockjob ${UUID} vdb --raw`,
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
});
