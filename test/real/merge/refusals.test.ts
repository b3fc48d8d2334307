import { describe, expect, it } from '@jest/globals';
import type { FailureCode } from '../../../workflows/operation/failures.ts';
import {
  effectsSince,
  expectLeftClean,
  expectRefused,
  merged,
  SMALL,
  type Request,
} from '../../support/scenes/merge-checks.ts';
import { startScene } from '../../support/scenes/merge-scene.ts';
import { redefine } from '../../support/guest/shut-off-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const system = useSystem();
const scene = use('the scene', async () => {
  const started = await startScene({ system, guest: SMALL, vm: 'web', layers: 2 });
  return { ...started, close: async () => void (await started.verifyAfterCrash()) };
});

const web = { vm: 'web', disk: 'vda' };
const refusals: [FailureCode, string, Request, RegExp][] = [
  ['unknown-vm', 'a name that libvirt does not list', { vm: 'absent', disk: 'vda' }, /knows no VM/],
  ['unknown-disk', 'a target that the VM lacks', { vm: 'web', disk: 'vdz' }, /has vda/],
  ['unknown-snapshot', 'no such snapshot', { ...web, snapshot: 'none' }, /lists no snapshots/],
  ['volume-not-in-chain', 'a typo', { ...web, top: 'web-snap9.qcow2' }, /not there.*web-snap2/],
  ['volume-not-in-chain', 'the index of another disk', { ...web, base: 'vdb[1]' }, /not there/],
  [
    'reversed',
    'a base above top',
    { ...web, top: 'web-snap1.qcow2', base: 'web-snap2.qcow2' },
    /lies above top/,
  ],
  ['nothing-to-merge', 'the bottom as top', { ...web, top: 'web.qcow2' }, /no volume below it/],
  [
    'invalid-request',
    'to keep an inner layer as the overlay',
    { ...web, top: 'web-snap1.qcow2', keepOverlay: true },
    /--keep-overlay is for the active layer/,
  ],
  [
    'invalid-request',
    'to decide about an inner layer',
    { ...web, top: 'web-snap1.qcow2', waitForDecision: true },
    /--wait-for-decision is for the active layer/,
  ],
  [
    'invalid-request',
    'two ways to name the base',
    { ...web, base: 'web.qcow2', shallow: true },
    /both name the base/,
  ],
];

describe('a refused merge', () => {
  it.each(refusals)('refuses with %s: %s', async (code, _, request, words) => {
    expect(await expectRefused(scene, request, ['Refused', code])).toMatch(words);
  });

  it('refuses with foreign-job, and leaves the job of virsh alone', async () => {
    await startForeignJob();
    try {
      const now = await expectRefused(scene, web, ['Refused', 'foreign-job']);
      expect(now).toMatch(/not touched/);
      expect(await foreignJob()).toMatch(/Active Block Commit/);
    } finally {
      await endForeignJob();
    }
  });

  it('is held with divergent-chain when the persistent XML names another volume', async () => {
    const [base, first, active] = scene.chain as [string, string, string];
    const { host } = system;
    const swap = (from: string, to: string) => (xml: string) =>
      xml.replace(`<source file='${from}'/>`, `<source file='${to}'/>`);
    await redefine(host, 'web', swap(active, base));
    const now = await expectRefused(scene, web, ['Hold', 'divergent-chain']);
    expect(now).toMatch(/persistent XML starts .*web\.qcow2, .* uses .*web-snap2\.qcow2/);
    await redefine(host, 'web', swap(base, active));
    await redefine(host, 'web', swap(first, base));
    await expectRefused(scene, web, ['Hold', 'divergent-chain']);
    await redefine(host, 'web', swap(base, first));
  });
});

const foreignJob = () => system.host.virsh('blockjob', 'web', 'vda', '--raw');

async function startForeignJob(): Promise<void> {
  await system.host.virsh('blockcommit', 'web', 'vda', '--active');
  await waitUntil('the job of virsh to be READY', async () => {
    return (await system.host.virsh('dumpxml', 'web')).includes("ready='yes'");
  });
}
const endForeignJob = () => system.host.virsh('blockjob', 'web', 'vda', '--abort');

describe('a merge that waits for a foreign job', () => {
  it('begins when the job has ended, and merges', async () => {
    await startForeignJob();
    const before = (await system.effects()).length;
    const merge = await system.merge({ ...web, ifBusy: 'wait', shallow: true });
    await waitUntil('the merge to wait', async () => {
      return (await merge.query<{ phase: string }, []>('status')).phase === 'waiting for the disk';
    });
    expect(await effectsSince(system, before)).toEqual([]);
    await endForeignJob();
    expect(await merge.result()).toMatchObject({ outcome: 'merged', mode: 'active' });
    await expectLeftClean(scene, ['web.qcow2', 'web-snap1.qcow2']);
  });
});

describe('a merge that is done already', () => {
  const done = async (request: Request) => {
    const before = (await system.effects()).length;
    const result = await merged(system, request);
    expect(result).toMatchObject({ outcome: 'already-done', deleted: [], regainedBytes: 0 });
    expect(await effectsSince(system, before)).toEqual([]);
  };

  it('says so by observation when the named base is the active layer', async () => {
    await done({ ...web, base: 'web-snap1.qcow2' });
  });

  it('says so of a named top that this very request merged, and refuses another one', async () => {
    const request = { ...web, top: 'web-snap1.qcow2' };
    expect(await merged(system, request)).toMatchObject({ outcome: 'merged' });
    await done(request);
    const other = { ...web, top: 'web-snap2.qcow2' };
    await expectRefused(scene, other, ['Refused', 'volume-not-in-chain']);
  });

  it('says so of a disk that is a single volume', async () => {
    await done(web);
    await done({ ...web, shallow: true });
    await expectLeftClean(scene, ['web.qcow2']);
  });
});
