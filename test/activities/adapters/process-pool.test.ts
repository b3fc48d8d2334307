/** Processes that stay open, as bash that reads and answers lines. */
import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from '@jest/globals';
import {
  createProcessPool,
  type Framing,
  type ProcessPool,
} from '../../../activities/adapters/process/process-pool.ts';

const PATH = process.env['PATH'];
/** Answers each line with its own pid, and does what the line says. */
const SCRIPT = `while IFS= read -r line; do eval "$line"; echo "$$"; done`;

let pool: ProcessPool<string, string>;
afterEach(() => {
  process.env['PATH'] = PATH;
  pool.close();
});

function open(atOnce?: number, changes: Partial<Framing<string, string>> = {}) {
  pool = createProcessPool<string, string>(
    {
      command: () => ['bash', '-c', SCRIPT],
      write: (line) => `${line}\n`,
      read: ({ stdout, stderr }) => {
        if (stderr !== '') throw new Error(`it said ${stderr.trim()}`);
        return stdout.endsWith('\n') ? stdout.trim() : null;
      },
      answerWithinMs: () => null,
      failed: (line, why) => new Error(`${why} at ${line}`),
      ...changes,
    },
    atOnce,
  );
  return (line: string) => pool.ask(line);
}

const isRunning = (pid: string) => {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
};
async function untilEnded(pid: string): Promise<void> {
  while (isRunning(pid)) await new Promise((done) => setTimeout(done, 10));
}

it('Processes are used again, and so many are open at once', async () => {
  const ask = open(2);
  const pids = await Promise.all(['sleep 0.1', 'sleep 0.1', ':', ':', ':', ':'].map(ask));
  expect(new Set(pids).size).toBe(2);
  expect(pids).toContain(await ask(':'));
});

it('What is more than needed without a question ends', async () => {
  const ask = open();
  const pids = await Promise.all(Array.from({ length: 6 }, () => ask('sleep 0.2')));
  expect(new Set(pids).size).toBe(6);
  await Promise.race(pids.map(untilEnded));
  expect(pids.filter(isRunning).length).toBeGreaterThanOrEqual(4);
});

it('A process that ended, said what it must not, or is silent is used no more', async () => {
  const ask = open(1, { answerWithinMs: () => 1000 });
  const first = await ask(':');
  await expect(ask('exit')).rejects.toThrow('ended at exit');
  const second = await ask(':');
  await expect(ask('echo words >&2; sleep 0.1')).rejects.toThrow('it said words');
  const third = await ask(':');
  await expect(ask('read -r')).rejects.toThrow('silent at read -r');
  const last = await ask(':');
  expect(new Set([first, second, third, last]).size).toBe(4);
  await untilEnded(third);
});

it('A process that is lost between two questions is not asked', async () => {
  const ask = open(1, { isLost: ({ stdout }) => stdout.includes('lost') });
  const pid = await ask('{ sleep 0.1; echo lost; } &');
  await untilEnded(pid);
  expect(await ask(':')).not.toBe(pid);
});

it('A process looks for programs where PATH says now', async () => {
  const ask = open(1);
  const pid = await ask(':');
  process.env['PATH'] = `/nowhere:${PATH}`;
  expect(await ask(':')).not.toBe(pid);
  await untilEnded(pid);
});

it('Its end ends all of them', async () => {
  const ask = open();
  const pid = await ask(':');
  const failure = ask('sleep 5').catch(String);
  pool.close();
  expect(await failure).toBe('Error: ended at sleep 5');
  await untilEnded(pid);
});

it('One that does not answer holds up questions of the same subject, and no others', async () => {
  const subject = (line: string) => line.split(' # ')[1] ?? null;
  const ask = open(1, { subject, answerWithinMs: () => 10_000 });
  const answered: string[] = [];
  const note = (name: string) => (pid: string) => (answered.push(name), pid);
  const hung = ask('read -r go # sick').then(note('hung'));
  const same = ask(': # sick').then(note('same'));
  await ask(': # well').then(note('other'));
  await ask(':').then(note('none'));
  expect(answered).toEqual(['other', 'none']);
  pool.close();
  await expect(hung).rejects.toThrow('ended at read');
  await same;
});

it('What is silent is killed with what it runs, and who waits for it is told', async () => {
  const ask = open(1, { answerWithinMs: () => 1500, subject: () => 'sick' });
  const sleeper = join(tmpdir(), `blockflow-${randomUUID()}`);
  const hung = ask(`sleep 1000 & echo $! >${sleeper}; wait`);
  const waiting = ask(': # too long');
  await expect(hung).rejects.toThrow('silent at sleep');
  await expect(waiting).rejects.toThrow('silent at : # too long');
  await untilEnded((await readFile(sleeper, 'utf8')).trim());
  await rm(sleeper);
  await ask(':');
});
