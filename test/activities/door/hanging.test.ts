/** Storage that does not answer: a fifo without a writer, at which `open` waits in its thread. */
import { constants } from 'node:fs';
import { open as openFile, rm, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { execa } from 'execa';
import { readFile } from '../../../activities/adapters/files/calls.ts';
import { attempt } from '../../../activities/door/attempt.ts';
import { createEffect } from '../../../activities/door/effect.ts';
import { observePoolId } from '../../../activities/pool-folder/id.ts';

let folder: string;
let fifo: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-hanging-'));
  fifo = join(folder, 'sick', 'image.qcow2');
  await execa('mkdir', [join(folder, 'sick'), join(folder, 'well')]);
  await execa('mkfifo', [fifo]);
});
afterEach(async () => {
  // A thread that still waits would keep the process of a test that fails.
  await (await openFile(fifo, constants.O_RDWR | constants.O_NONBLOCK)).close();
  await rm(folder, { recursive: true });
});

/** What waits for a writer goes on. */
const answer = async () => (await openFile(fifo, 'w')).close();

const calls = new URL('../../../activities/adapters/files/calls.ts', import.meta.url).href;
const lanes = new URL('../../../activities/adapters/files/lanes.ts', import.meta.url).href;
/** Forty questions at one pool, more than there are threads, then some at another one. */
const ASKER = `
  const { readFile, stat, writeFile, unlink } = await import(${JSON.stringify(calls)});
  const { giveLane } = await import(${JSON.stringify(lanes)});
  const [folder, fifo] = process.argv.slice(1);
  giveLane(folder + '/sick');
  giveLane(folder + '/well');
  for (let i = 0; i < 40; i++) readFile(fifo).catch(() => undefined);
  await stat(folder + '/well');
  await writeFile(folder + '/well/a', 'a');
  await unlink(folder + '/well/a');
  await writeFile(folder + '/sick/a', 'a');
  // An exit would wait for its threads.
  process.stdout.write('answered', () => process.kill(process.pid, 'SIGKILL'));
`;

it('A pool that hangs takes no threads from another one', async () => {
  const options = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', ASKER];
  const env = { UV_THREADPOOL_SIZE: '32', NODE_OPTIONS: '' };
  const args = [...options, folder, fifo];
  const more = { env, timeout: 20_000, killSignal: 'SIGKILL', reject: false } as const;
  expect((await execa(process.execPath, args, more)).stdout).toBe('answered');
});

it('A cancel ends an attempt that waits for storage, which has no effect afterwards', async () => {
  const environment = new MockActivityEnvironment();
  const effects: string[] = [];
  const effect = createEffect([]);
  const { promise: ended, resolve: end } = Promise.withResolvers<unknown>();
  const activity = attempt(async () => {
    try {
      await readFile(fifo);
      await effect('storage.unlink-volume', 'a', () => Promise.resolve(effects.push('late')));
      end(null);
    } catch (error) {
      end(error);
    }
  }, 'while working');
  const running = environment.run(activity, undefined);
  environment.cancel();
  await expect(running).rejects.toBeInstanceOf(CancelledFailure);
  await answer();
  expect(await ended).toBeInstanceOf(CancelledFailure);
  expect(effects).toEqual([]);
});

it('An effect that has begun is waited for, whatever is cancelled', async () => {
  const environment = new MockActivityEnvironment();
  const effect = createEffect([]);
  const activity = attempt(
    () => effect('storage.unlink-volume', 'a', () => readFile(fifo, 'utf8')),
    'while working',
  );
  const running = environment.run(activity, undefined);
  environment.cancel();
  const { promise: beats, resolve: hasBeaten } = Promise.withResolvers<'beats'>();
  let count = 0;
  environment.on('heartbeat', () => ++count === 5 && hasBeaten('beats'));
  expect(await Promise.race([running, beats])).toBe('beats');
  await answer();
  expect(await running).toBe('');
});

it('A pool that is silent is not taken for one without an id', async () => {
  const id = join(folder, 'sick/.blockflow/id');
  await execa('mkdir', [join(folder, 'sick/.blockflow')]);
  await execa('mkfifo', [id]);
  jest.useFakeTimers();
  const asked = observePoolId(join(folder, 'sick'));
  jest.advanceTimersByTime(60_000);
  jest.useRealTimers();
  await expect(asked).rejects.toThrow('has not answered');
  await (await openFile(id, 'w')).close();
});
