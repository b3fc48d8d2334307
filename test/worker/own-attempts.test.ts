/** Which attempts an agent gives back when it starts. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { temporal } from '@temporalio/proto';
import { keepAttempts } from '../../worker/roles/own-attempts.ts';
import { common, type RoleContext } from '../../worker/roles/role.ts';

let runtimeDir: string;
const attempts = () => join(runtimeDir, 'attempts');
const givenBack: string[] = [];
/** How long the server is told to wait, in seconds. */
const waits: number[] = [];
beforeEach(async () => {
  runtimeDir = await mkdtemp(join(tmpdir(), 'blockflow-attempts-'));
  givenBack.length = 0;
});
afterEach(() => rm(runtimeDir, { recursive: true }));

interface GivenBack {
  taskToken: Uint8Array;
  failure: temporal.api.failure.v1.IFailure;
}

/** Only what is called of it. */
const workflowService = {
  respondActivityTaskFailed: ({ taskToken, failure }: GivenBack) => {
    givenBack.push(Buffer.from(taskToken).toString());
    const { seconds, nanos } = failure.applicationFailureInfo?.nextRetryDelay ?? {};
    waits.push(Number(seconds ?? Infinity) + (nanos ?? 0) / 1e9);
    return Promise.reject(new Error('the server knows it no longer'));
  },
};
const context = () =>
  ({
    config: { runtimeDir, stuckSeconds: 1 },
    namespace: 'default',
    connection: { workflowService },
    log: { info: () => undefined },
  }) as unknown as RoleContext;

async function leave(agent: string): Promise<void> {
  await mkdir(join(attempts(), agent), { recursive: true });
  for (const token of ['one', 'two']) await writeFile(join(attempts(), agent, token), token);
}

const startOf = async (pid: number) =>
  (await readFile(`/proc/${pid}/stat`, 'latin1')).split(') ').at(-1)?.split(' ')[19];

it('gives back what an agent of its name has left, also with a number in use again', async () => {
  // Never: the number of a process that runs, started at another time.
  await leave(`host-${process.ppid}-1`);
  await keepAttempts(context(), 'host');
  expect(givenBack.sort()).toEqual(['one', 'two']);
  expect(await readdir(attempts())).toHaveLength(1);
  // At once, also of the tenth attempt.
  for (const wait of waits.splice(0)) expect([wait > 0, wait < 0.1]).toEqual([true, true]);
});

it('leaves what an agent has that lives, and one of another name', async () => {
  const alive = `host-${process.ppid}-${await startOf(process.ppid)}`;
  await leave(alive);
  await leave('spm-1-1');
  await keepAttempts(context(), 'host');
  expect(givenBack).toEqual([]);
  expect(await readdir(attempts())).toEqual(expect.arrayContaining([alive, 'spm-1-1']));
});

it('has its attempts noted by the worker, beside what else looks at them', async () => {
  const attempts = await keepAttempts(context(), 'host');
  const { interceptors } = common({ ...context(), attempts }, 'host');
  expect(interceptors?.activity).toContain(attempts);
  expect(interceptors?.activity).toHaveLength(2);
});
