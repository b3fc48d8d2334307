/** What is tried for long without success is told and goes on; an error of ours ends it. */
import { expect, it } from '@jest/globals';
import { failureDetails, refused } from '../../../workflows/operation/failures.ts';
import { hostQueue, searchAttributes, STUCK } from '../../../workflows/operation/contract.ts';
import { watchRetries } from '../../../worker/roles/retries.ts';
import { CACHES, startBench, type MergeHandle } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const bench = use('the bench', startBench);
const [CACHE] = CACHES;
const AFTER_MS = 700;

const failureOf = async (handle: MergeHandle) =>
  failureDetails(await handle.result().catch((error: unknown) => error));

/** A host whose plans do what the test says, tried again for 0.7 s before that is told. */
async function startHost(host: string, plan: () => Promise<unknown>): Promise<void> {
  const activities = { observeMergePlan: plan };
  const interceptors = { activity: [watchRetries(AFTER_MS)] };
  await bench.serve(hostQueue(host), activities, { interceptors });
}

async function isListed({ workflowId }: MergeHandle): Promise<boolean> {
  const query = `WorkflowId = "${workflowId}" AND ${searchAttributes.phase.name} = "${STUCK}"`;
  return (await bench.client.workflow.count(query)).count > 0;
}

it('What fails again and again is in status, list and audit log, until it succeeds', async () => {
  let end: Error | null = null;
  await startHost('sick', () => Promise.reject(end ?? new Error('the disk is on fire')));
  const vm = bench.addVm();
  const handle = await bench.merge(vm, CACHE, { host: 'sick' });
  const stuck = () => bench.status(handle).then((status) => status.stuck ?? undefined);
  expect(await waitUntil('that to be told', stuck)).toContain('the disk is on fire');
  await waitUntil('it to be listed', () => isListed(handle));
  end = refused('unknown-vm', { attempted: 'planning', now: 'it is not there', next: 'Go' });
  expect(await failureOf(handle)).toMatchObject({ details: { code: 'unknown-vm' } });
  expect((await bench.status(handle)).stuck).toBeNull();
  await waitUntil('it to be listed no more', async () => !(await isListed(handle)));
  const events = await bench.events(vm);
  expect(events.map(({ kind }) => kind)).toEqual(['started', 'stuck', 'refused']);
  expect(events[1]?.reason).toContain('the disk is on fire');
});

it('A cancel ends what is stuck', async () => {
  await startHost('lasting', () => Promise.reject(new Error('the disk is on fire')));
  const handle = await bench.merge(bench.addVm(), CACHE, { host: 'lasting' });
  await waitUntil('that to be told', async () => (await bench.status(handle)).stuck);
  await handle.cancel();
  await expect(handle.result()).rejects.toThrow();
  expect(await bench.status(handle)).toMatchObject({ phase: 'finished', stuck: null });
});

it('An error of ours ends the operation at the third attempt', async () => {
  let attempts = 0;
  await startHost('wrong', () => {
    attempts += 1;
    return Promise.reject(new TypeError('x is not a function'));
  });
  const failure = await failureOf(await bench.merge(bench.addVm(), CACHE, { host: 'wrong' }));
  expect(failure).toMatchObject({ type: 'Bug', details: { code: 'bug' } });
  expect(failure?.details.now).toContain('x is not a function');
  expect(attempts).toBe(3);
});
