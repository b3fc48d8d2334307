/** One `blockflow up` for a state folder. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

const TAKEN = 75;

/**
 * Takes the lock of the folder and holds it as long as this process lives: a child holds it, and
 * ends when the pipe from here closes, however this process dies. So there is no stale lock to
 * judge.
 * @returns null when another process has it.
 */
export async function lockState(stateDir: string): Promise<{ release(): Promise<void> } | null> {
  await mkdir(stateDir, { recursive: true });
  const holder = execa(
    'flock',
    [
      '--nonblock',
      '--conflict-exit-code',
      String(TAKEN),
      '--no-fork',
      join(stateDir, 'up.lock'),
      'sh',
      '-c',
      'echo locked; exec cat',
    ],
    // In a group of its own: ^C in a terminal must not take the lock away before all has stopped.
    { reject: false, detached: true, stdin: 'pipe', stdout: 'pipe', stderr: 'pipe', buffer: true },
  );
  const locked = await Promise.race([
    new Promise<true>((resolve) => holder.stdout.once('data', () => resolve(true))),
    holder.then((ended) => ended),
  ]);
  if (locked !== true) {
    if (locked.exitCode === TAKEN) return null;
    throw new Error(`flock failed: ${locked.stderr || locked.shortMessage || locked.exitCode}`);
  }
  return {
    async release() {
      holder.stdin.end();
      await holder;
    },
  };
}
