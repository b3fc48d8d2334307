import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createEffect, type EffectHook } from '../../../activities/door/effect.ts';
import { ensureEventRecorded } from '../../../activities/orchestrator/ensure-event-recorded.ts';
import { observeEvents } from '../../../activities/orchestrator/observe-events.ts';
import { hashOf } from '../../../activities/orchestrator/chain.ts';
import { verifyChain } from '../../../activities/orchestrator/verify-chain.ts';
import { createOrchestratorActivities } from '../../../activities/orchestrator/index.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import type { AuditEvent } from '../../../workflows/operation/audit/audit.ts';

const MONTH = '2026-01';
let [root, folder] = ['', ''];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'blockflow-audit-'));
  folder = join(root, 'events');
  await mkdir(folder);
});
afterEach(() => rm(root, { recursive: true }));

const deps = (...hooks: EffectHook[]) => ({ effect: createEffect(hooks), folder });
const event = (id: string, changes: Partial<AuditEvent> = {}): AuditEvent => ({
  id,
  time: '2026-01-01T00:00:00.000Z',
  operation: 'LiveMerge',
  workflowId: 'web1/vda',
  vm: 'web1',
  disk: 'vda',
  host: 'h1',
  kind: 'started',
  request: 'merge web1 vda',
  who: 'alice',
  reason: 'merge web1 vda',
  before: [],
  after: [],
  ...changes,
});
const all = () => observeEvents(deps(), { limit: 100 });

describe('The audit log', () => {
  it('has an event once, however often and at whatever time it is appended', async () => {
    await ensureEventRecorded(deps(), event('run-started'));
    const again = event('run-started', { time: '2026-01-01T00:00:09.000Z' });
    await ensureEventRecorded(deps(), again);
    expect(await all()).toEqual([event('run-started')]);
  });

  it('has every event once when many appends run at the same time', async () => {
    const ids = Array.from({ length: 60 }, (_, n) => `run${n % 20}-started`);
    await Promise.all(ids.map((id) => ensureEventRecorded(deps(), event(id))));
    expect((await all()).map(({ id }) => id).sort()).toEqual([...new Set(ids)].sort());
    expect((await readdir(folder)).sort()).toEqual([MONTH, 'chain']);
    expect((await readdir(join(folder, MONTH))).filter((n) => !n.endsWith('.json'))).toEqual([]);
    expect(await verifyChain(folder)).toMatchObject({ proven: 20, faults: [] });
  });

  it('is one chain when two orchestrators append to it at once', async () => {
    // Under another name of the folder an append waits for no other, as in another process.
    const folders = [folder, `${folder}/.`];
    const appends = folders.flatMap((of) =>
      Array.from({ length: 20 }, (_, n) =>
        ensureEventRecorded({ ...deps(), folder: of }, event(`${of.length}-${n}`)),
      ),
    );
    await Promise.all(appends);
    const range = { first: 1, last: 40 };
    expect(await verifyChain(folder)).toMatchObject({ proven: 40, range, faults: [] });
  });

  it('is forged by no client: an activity outside of our workflows records nothing', async () => {
    const { ensureEventRecorded: served } = createOrchestratorActivities(deps());
    const forged = event('run-removed', { kind: 'removed', who: 'alice@admin' });
    const remote = new MockActivityEnvironment({ isLocal: false });
    await expect(remote.run(served, forged)).rejects.toThrow('only by a workflow');
    expect(await readdir(folder)).toEqual([]);
    await new MockActivityEnvironment({ isLocal: true }).run(served, forged);
    expect(await all()).toEqual([forged]);
  });

  it('does not show a draft that was torn by a crash, and appends the event after it', async () => {
    await mkdir(join(folder, MONTH));
    await writeFile(join(folder, MONTH, 'run-started.json.4711.new'), '{"id": "run-st');
    expect(await all()).toEqual([]);
    await ensureEventRecorded(deps(), event('run-started'));
    expect(await all()).toHaveLength(1);
  });

  it('is whole after an append that was done and reported as failed', async () => {
    const failing: EffectHook = async (_name, _target, run) => {
      await run();
      throw new Error('done, and reported as failed');
    };
    await expect(ensureEventRecorded(deps(failing), event('run-merged'))).rejects.toThrow('failed');
    await ensureEventRecorded(deps(), event('run-merged'));
    expect(await all()).toHaveLength(1);
  });

  it('tells the newest events of a disk, oldest first', async () => {
    const at = (second: number) => `2026-01-01T00:00:0${second}.000Z`;
    for (const second of [3, 1, 2]) {
      await ensureEventRecorded(deps(), event(`a${second}`, { time: at(second) }));
      await ensureEventRecorded(deps(), event(`b${second}`, { time: at(second), vm: 'web2' }));
    }
    const found = await observeEvents(deps(), { vm: 'web1', disk: 'vda', limit: 2 });
    expect(found.map(({ id }) => id)).toEqual(['a2', 'a3']);
  });

  it('takes no event of another shape', async () => {
    const wrong = { ...event('run-started'), kind: 'no kind' };
    const activities = createOrchestratorActivities(deps());
    expect(() => activities.ensureEventRecorded(wrong)).toThrow(/another shape/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('is one line of JSON a file, for other tools', async () => {
    await ensureEventRecorded(deps(), event('run-started'));
    const text = await readFile(join(folder, MONTH, 'run-started.json'), 'utf8');
    expect(text.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(text)).toEqual(event('run-started'));
  });

  it('has folders of months, and shows the newest events over all of them', async () => {
    const times = ['2026-01-31', '2026-02-01', '2026-02-02'].map((day) => `${day}T00:00:00.000Z`);
    for (const time of times) {
      await ensureEventRecorded(deps(), event(`at-${time.slice(0, 10)}`, { time }));
    }
    // A lost workflow task that is repeated in the month after.
    const again = event('at-2026-01-31', { time: '2026-02-01T00:00:00.000Z' });
    await ensureEventRecorded(deps(), again);
    expect((await all()).map(({ time }) => time)).toEqual(times);
    const two = await observeEvents(deps(), { limit: 2 });
    expect(two.map(({ time }) => time)).toEqual(times.slice(1));
    await rm(join(folder, MONTH), { recursive: true });
    expect(await verifyChain(folder)).toMatchObject({ proven: 2, archived: 1, faults: [] });
  });

  it('leaves out a file that is no event, and says so once', async () => {
    await ensureEventRecorded(deps(), event('run-started'));
    await writeFile(join(folder, MONTH, 'empty.json'), '');
    const told: string[] = [];
    const telling = { ...deps(), warn: (words: string) => told.push(words) };
    for (let i = 0; i < 2; i++) {
      expect(await observeEvents(telling, { limit: 100 })).toHaveLength(1);
    }
    expect(told).toEqual([expect.stringContaining('empty.json is no event')]);
    const { faults } = await verifyChain(folder);
    expect(faults).toEqual([`${MONTH}/empty.json: no event`]);
  });

  it('is read by its owner alone', async () => {
    await ensureEventRecorded(deps(), event('run-started'));
    for (const name of [`${MONTH}/run-started.json`, 'chain/000000000/000000001.json']) {
      expect((await stat(join(folder, name))).mode & 0o077).toBe(0);
    }
  });
});

describe('The chain of the audit log', () => {
  const record = async (count: number) => {
    for (let n = 1; n <= count; n++) await ensureEventRecorded(deps(), event(`run${n}-started`));
  };
  const path = (n: number) => join(folder, MONTH, `run${n}-started.json`);
  const entry = (n: number) => join(folder, 'chain', '000000000', `00000000${n}.json`);
  const faults = async () => (await verifyChain(folder)).faults;

  it('is whole over what was recorded, and its last hash changes with each event', async () => {
    await record(3);
    const before = await verifyChain(folder);
    expect(before).toMatchObject({ proven: 3, range: { first: 1, last: 3 }, faults: [] });
    await ensureEventRecorded(deps(), event('run4-started'));
    expect((await verifyChain(folder)).head).not.toBe(before.head);
  });

  it('shows an event that was changed, removed or added by hand', async () => {
    await record(3);
    await writeFile(path(1), (await readFile(path(1), 'utf8')).replace('alice', 'mallory'));
    await rm(path(2));
    await writeFile(path(9), `${JSON.stringify(event('run9-started'))}\n`);
    expect(await faults()).toEqual([
      `${MONTH}/run1-started.json: it was changed`,
      `${MONTH}/run2-started.json: the event was removed`,
      expect.stringContaining(`${MONTH}/run9-started.json: not in the chain`),
    ]);
  });

  it('shows an event that was changed together with its entry', async () => {
    await record(3);
    const [text, changed] = [await readFile(path(2), 'utf8'), event('run2-started', { who: 'm' })];
    const other = `${JSON.stringify(changed)}\n`;
    await writeFile(path(2), other);
    const own = await readFile(entry(2), 'utf8');
    await writeFile(entry(2), own.replace(hashOf(text), hashOf(other)));
    expect(await faults()).toEqual(['entry 3: the entry before it was changed']);
  });

  it('shows an entry that was removed', async () => {
    await record(3);
    await rm(entry(2));
    expect(await faults()).toEqual([
      expect.stringMatching(/^entry 2: .*no such file/),
      expect.stringContaining('run2-started.json: not in the chain'),
    ]);
  });

  it('shows that all of it was removed, also once another one has begun', async () => {
    expect(await verifyChain(folder)).toMatchObject({ range: null, faults: [] });
    await record(2);
    await rm(folder, { recursive: true });
    expect(await faults()).toEqual(['the audit log that began here was removed']);
    await ensureEventRecorded(deps(), event('run3-started'));
    expect(await faults()).toEqual(['entry 1: another log began here, and was removed']);
  });

  it('gets the entry of an event that a crash has cut off, once', async () => {
    await record(2);
    await rm(entry(2));
    for (let i = 0; i < 2; i++) await ensureEventRecorded(deps(), event('run2-started'));
    expect(await verifyChain(folder)).toMatchObject({ proven: 2, faults: [] });
  });
});

it('A log on a full disk refuses an event whole, and takes it once there is space', async () => {
  const mount = await mountOwn('tmpfs', 1);
  try {
    const full = { ...deps(), folder: join(mount.path, 'events') };
    await ensureEventRecorded(full, event('run1-started'));
    const filler = join(mount.path, 'filler');
    await writeFile(filler, Buffer.alloc(2 ** 21)).catch(() => undefined);
    await expect(ensureEventRecorded(full, event('run2-started'))).rejects.toThrow('ENOSPC');
    expect(await readdir(join(full.folder, MONTH))).toEqual(['run1-started.json']);
    await rm(filler);
    await ensureEventRecorded(full, event('run2-started'));
    expect(await verifyChain(full.folder)).toMatchObject({ proven: 2, faults: [] });
  } finally {
    await mount.close();
  }
});
