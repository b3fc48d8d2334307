/**
 * One set-up at a time for a file or folder: `flock` holds the lock while its `cat` reads our pipe,
 * so the lock ends with this process, however it ends.
 */
import { spawn } from 'node:child_process';
import { say } from './say.mjs';

/**
 * @template T
 * @param {string} path what to lock: an existing file or folder
 * @param {() => Promise<T>} work
 */
export async function whileLocked(path, work) {
  let holder = await take(path, ['--nonblock']);
  if (!holder) {
    say('another set-up is running; waiting for it to end.');
    holder = await take(path, []);
  }
  try {
    return await work();
  } finally {
    holder?.stdin.end();
  }
}

/** The process that holds the lock, or undefined where another process has it. */
async function take(path, flags) {
  const args = [...flags, path, 'sh', '-c', 'echo held; exec cat >/dev/null'];
  const child = spawn('flock', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  // A write after the holder's death must not end set-up.
  child.stdin.on('error', () => {});
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(new Error('flock (package util-linux) is missing', { cause: error })),
    );
    child.once('close', () => resolve(undefined));
    child.stdout.once('data', () => resolve(child));
  });
}
