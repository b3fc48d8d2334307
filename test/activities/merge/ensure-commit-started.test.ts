/** What a start says of READY, with a libvirt of strings: each question that is asked counts. */
import { expect, it, jest } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { JobEvent } from '../../../activities/adapters/virsh/job-watch.ts';
import type { Libvirt } from '../../../activities/adapters/virsh/domains.ts';
import type { HostDeps } from '../../../activities/host/deps.ts';
import { ensureCommitStarted } from '../../../activities/host/merge/ensure-commit-started.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import { createToldWatch, ENDS, layersXml, VM } from '../../support/simulator/watched-disk.ts';
import { freeTurns } from '../../support/simulator/free-turns.ts';

const job = { type: 'Active Block Commit', copiedBytes: 50, totalBytes: 100 };

interface Case {
  mode?: 'active' | 'inner';
  /** Whether the job runs before, and what it is then. */
  running?: 'ready' | 'copying';
  /** What the command's effect sets off. */
  onStart?: (say: (event: JobEvent) => void) => void;
  /** Whether it had to wait for its turn. */
  hasWaited?: boolean;
}

async function start({ mode = 'active', running, onStart, hasWaited = false }: Case) {
  const { watch, tell, isWatching } = createToldWatch();
  let questions = 0;
  const xml = layersXml(running === 'ready' ? 'ready' : 'none');
  const info = { state: 'running', stateReason: 'running (booted)', persistent: true };
  const libvirt = {
    domainInfo: () => Promise.resolve({ ...info, managedSave: false }),
    currentXml: () => (questions++, Promise.resolve(xml)),
    blockJob: () => Promise.resolve(running ? job : null),
    setRecord: () => Promise.resolve(''),
    startCommit: () => {
      onStart?.(tell);
      return Promise.resolve('');
    },
  } as unknown as Libvirt;
  const effect: HostDeps['effect'] = (_name, _target, run) => run();
  const giveBack = jest.fn();
  const turns = { ...freeTurns(), take: () => Promise.resolve(hasWaited), giveBack };
  const deps = { host: 'h1', libvirt, watch, effect, turns, runtimeDir: '/nowhere' };
  const plan = { ...VM, host: 'h1', persistent: true, mode, deletes: [], ...ENDS };
  const input = { plan: plan as unknown as MergePlan, jobId: VM.vmUuid };
  const request = { ...input, bandwidthBytesPerSecond: 0, keepRelative: false };
  const activity = () => ensureCommitStarted(deps as unknown as HostDeps, request, () => undefined);
  const outcome = await new MockActivityEnvironment().run(activity);
  return { outcome, questions, isWatching, keepsTurn: giveBack.mock.calls.length === 0 };
}

const { vm, disk } = VM;
const event = (status: string): JobEvent => ({ kind: 'block-job', vm, disk, status });

it('A small merge is READY by the event, also when that comes before the answer', async () => {
  const { outcome, isWatching } = await start({ onStart: (say) => say(event('ready')) });
  expect(outcome).toEqual({ outcome: 'started', reason: 'started', readyAtMs: expect.any(Number) });
  expect(isWatching()).toBe(false);
  const later = await start({ onStart: (say) => setTimeout(say, 10, event('ready')) });
  expect(later.outcome).toMatchObject({ readyAtMs: expect.any(Number) as unknown });
});

it('A larger one is started, and libvirt is asked nothing meanwhile', async () => {
  const { outcome, questions, isWatching } = await start({
    onStart: (say) => say(event('completed')),
  });
  expect(outcome).toEqual({ outcome: 'started', reason: 'started', readyAtMs: null });
  expect([questions, isWatching()]).toEqual([1, false]);
});

it('An inner merge has no READY', async () => {
  const inner = await start({ mode: 'inner', onStart: (say) => say(event('ready')) });
  expect(inner.outcome).toMatchObject({ outcome: 'started', readyAtMs: null });
});

it('A job that runs is attached to, and looked at once', async () => {
  const copying = await start({ running: 'copying' });
  expect(copying.outcome).toMatchObject({ outcome: 'started', readyAtMs: null });
  const reached = await start({ running: 'ready' });
  expect(reached.outcome).toMatchObject({ readyAtMs: expect.any(Number) as unknown });
  expect([copying.questions, reached.questions]).toEqual([2, 2]);
});

it('What had to wait is planned again, with its turn, unless its job runs', async () => {
  const onStart = jest.fn();
  const old = await start({ hasWaited: true, onStart });
  expect(old.outcome).toMatchObject({ outcome: 'busy' });
  expect([onStart.mock.calls.length, old.keepsTurn]).toEqual([0, true]);
  const begun = await start({ hasWaited: true, running: 'copying' });
  expect(begun.outcome).toMatchObject({ outcome: 'started' });
});
