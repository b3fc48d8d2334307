/** READY by event, by the safety net, and every other way a job ends, with a libvirt of strings. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { JobSample } from '../../../activities/adapters/virsh/job-watch.ts';
import type { Libvirt } from '../../../activities/adapters/virsh/domains.ts';
import { awaitCommitReady } from '../../../activities/host/merge/await-commit-ready.ts';
import type { HostDeps } from '../../../activities/host/deps.ts';
import type { ReadyOutcome } from '../../../workflows/merge/activities.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import {
  createToldWatch,
  ENDS,
  layersXml,
  mergedXml,
  VM,
} from '../../support/simulator/watched-disk.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { freeTurns } from '../../support/simulator/free-turns.ts';

const plan = {
  ...VM,
  host: 'h1',
  persistent: true,
  mode: 'active',
  ...ENDS,
} as unknown as MergePlan;
const half = { type: 'Active Block Commit', copiedBytes: 50, totalBytes: 100 };
const HALF: JobSample = { ...half, bandwidthBytesPerSecond: 0 };
const FULL: JobSample = { ...HALF, copiedBytes: 100 };

const BEFORE = layersXml();
const AFTER = mergedXml;
const mirrored = (ready: boolean) => layersXml(ready ? 'ready' : 'copying');

/** A watched disk: what libvirt would answer, and the events it sends. */
function watched(until: 'ready' | 'end' = 'ready') {
  const seen = { xml: mirrored(false), state: 'running', job: HALF as JobSample | null };
  const { watch, tell, isWatching } = createToldWatch();
  /** Looks that have asked all they ask of a job that runs. */
  let [looks, settled] = [0, 0];
  const whole = { persistent: true, managedSave: false };
  const info = () => ({ state: seen.state, stateReason: `${seen.state} (test)`, ...whole });
  const libvirt = {
    domainInfo: () => Promise.resolve(info()),
    currentXml: () => Promise.resolve(seen.xml),
    inactiveXml: () => Promise.resolve(seen.xml),
    blockJob: () => {
      looks++;
      return Promise.resolve(seen.job);
    },
  } as unknown as Libvirt;
  const turns = freeTurns();
  const deps = { host: 'h1', libvirt, watch, turns, runtimeDir: '/nowhere' } as unknown as HostDeps;
  const environment = new MockActivityEnvironment();
  const beats: { note?: string | null }[] = [];
  environment.on('heartbeat', (details: object | undefined) => beats.push(details ?? {}));
  const input = { plan, jobId: VM.vmUuid, until, tellConvergence: true };
  const look = () => awaitCommitReady(deps, input);
  const outcome = environment.run<[], ReadyOutcome, () => Promise<ReadyOutcome>>(look);
  outcome.catch(() => undefined);
  const { vmUuid: uuid, vm, disk } = VM;
  return {
    seen,
    outcome,
    environment,
    beats,
    isWatching,
    status: (status: string) => tell({ kind: 'block-job', vm, disk, status }),
    lifecycle: (detail: string) => tell({ kind: 'lifecycle', vm, detail }),
    silence: (reason: string) => tell({ kind: 'silence', uuid, disk, reason }),
    sample: (job: JobSample | null, state: 'running' | 'off' = 'running') =>
      tell({ kind: 'sample', uuid, disk, state, job }),
    /** Lets the look that began with the activity, or the next one, end. */
    settle: () => {
      const wanted = ++settled;
      return waitUntil(`look ${wanted}`, () => looks >= wanted);
    },
  };
}

describe('awaitCommitReady', () => {
  it('returns at once when the event says READY', async () => {
    const { outcome, status, isWatching } = watched();
    status('ready');
    expect(await outcome).toMatchObject({ outcome: 'ready' });
    expect(isWatching()).toBe(false);
  });

  it('finds a READY whose event was missed, by the XML and not by 100 %', async () => {
    const { outcome, sample, seen, settle } = watched();
    await settle();
    seen.job = FULL;
    sample(FULL);
    await settle();
    const early = await Promise.race([outcome, Promise.resolve('still waiting')]);
    expect(early).toBe('still waiting');
    seen.xml = mirrored(true);
    sample(FULL);
    expect(await outcome).toMatchObject({ outcome: 'ready' });
  });

  it('finds a READY that was there before it looked', async () => {
    const run = watched();
    run.seen.xml = mirrored(true);
    run.sample(FULL);
    expect(await run.outcome).toMatchObject({ outcome: 'ready' });
  });

  it.each(['Stopped Destroyed', 'Shutdown Finished', 'Crashed Panicked', 'Stopped Failed'])(
    'says that the VM stopped by the lifecycle event %s alone',
    async (detail) => {
      const { outcome, lifecycle, seen, settle } = watched();
      await settle();
      Object.assign(seen, { state: 'off', job: null, xml: BEFORE });
      lifecycle(detail);
      expect(await outcome).toMatchObject({ outcome: 'vm-stopped', reason: 'off (test)' });
    },
  );

  it('says that the job is gone when the chain is what it was', async () => {
    const { outcome, status, seen, settle } = watched();
    await settle();
    Object.assign(seen, { job: null, xml: BEFORE });
    status('failed');
    const gone = { outcome: 'gone', reason: 'libvirt reported the job failed' };
    expect(await outcome).toEqual(gone);
  });

  it('finds by a sample that the job is gone, when no event came', async () => {
    const { outcome, sample, seen, settle } = watched();
    await settle();
    Object.assign(seen, { job: null, xml: BEFORE });
    sample(null);
    expect(await outcome).toMatchObject({ outcome: 'gone' });
  });

  it('waits while libvirt does not say yet of which kind its mirror is', async () => {
    const run = watched();
    run.seen.xml = mirrored(false).replace("job='active-commit'", "job=''");
    await run.settle();
    const early = await Promise.race([run.outcome, setImmediate('still waiting')]);
    expect(early).toBe('still waiting');
    run.seen.xml = mirrored(true);
    run.sample(FULL);
    expect(await run.outcome).toMatchObject({ outcome: 'ready' });
  });

  it('says that the merge is finished when top has left the chain', async () => {
    const { outcome, status, seen, settle } = watched();
    await settle();
    Object.assign(seen, { job: null, xml: AFTER });
    status('completed');
    expect(await outcome).toEqual({ outcome: 'finished' });
  });

  it('does not take a foreign READY job for ours', async () => {
    const run = watched();
    run.seen.xml = mirrored(true).replace("job='active-commit'", "job='copy'");
    Object.assign(run.seen, { job: { ...FULL, type: 'Block Copy' } });
    run.sample(FULL);
    const reason = 'another job runs, and the chain is unchanged';
    expect(await run.outcome).toEqual({ outcome: 'gone', reason });
  });

  it('is not ended by READY while a person decides', async () => {
    const { outcome, status, seen, settle } = watched('end');
    seen.xml = mirrored(true);
    status('ready');
    await settle();
    expect(await Promise.race([outcome, Promise.resolve('watching')])).toBe('watching');
    Object.assign(seen, { job: null, xml: AFTER });
    status('completed');
    expect(await outcome).toEqual({ outcome: 'finished' });
  });

  it('beats with what it waits for while libvirtd is silent', async () => {
    const { outcome, silence, status, beats } = watched();
    silence('failed to connect');
    await setImmediate();
    expect(beats.at(-1)).toMatchObject({ note: 'failed to connect' });
    status('ready');
    await outcome;
  });

  it('stops watching when it is cancelled', async () => {
    const { outcome, environment, isWatching, settle } = watched();
    await settle();
    environment.cancel();
    await expect(outcome).rejects.toThrow();
    expect(isWatching()).toBe(false);
  });
});
