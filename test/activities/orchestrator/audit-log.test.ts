import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createEffect, type EffectHook } from '../../../activities/door/effect.ts';
import { ensureEventRecorded } from '../../../activities/orchestrator/ensure-event-recorded.ts';
import { observeEvents } from '../../../activities/orchestrator/observe-events.ts';
import { createOrchestratorActivities } from '../../../activities/orchestrator/index.ts';
import type { AuditEvent } from '../../../workflows/operation/audit.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-audit-'));
});
afterEach(() => rm(folder, { recursive: true }));

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
    expect((await readdir(folder)).filter((name) => !name.endsWith('.json'))).toEqual([]);
  });

  it('does not show a draft that was torn by a crash, and appends the event after it', async () => {
    await writeFile(join(folder, 'run-started.json.4711.new'), '{"id": "run-st');
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
    const text = await readFile(join(folder, 'run-started.json'), 'utf8');
    expect(text.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(text)).toEqual(event('run-started'));
  });
});
