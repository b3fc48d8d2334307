/** What set-up says, and how it runs a command that takes a while. */
import { spawn } from 'node:child_process';

/** @param {string} line */
export function say(line) {
  process.stdout.write(`blockflow set-up: ${line}\n`);
}

/** A step that could not be done; the message tells the reader exactly what to do instead. */
export class CannotDo extends Error {}

/**
 * Runs a command. Its output is shown only when it fails, and then its two ends.
 * @param {string} label what is going on, for the line that shows the elapsed seconds
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 */
export async function runShowing(label, command, args, options = {}) {
  const stopTicking = tick(label);
  let output = '';
  const keep = (/** @type {Buffer} */ chunk) => {
    output = (output + chunk.toString()).slice(-200_000);
  };
  // Standard input stays open for sudo, which may ask for a password.
  const child = spawn(command, args, { ...options, stdio: ['inherit', 'pipe', 'pipe'] });
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      output += error.message;
      resolve(127);
    });
    child.on('close', (exit, signal) => resolve(signal ?? exit));
  });
  stopTicking();
  if (code === 0) return output;
  const ends = firstAndLast(output.trim().split('\n')).join('\n    ');
  throw new CannotDo(`"${command} ${args.join(' ')}" ended with ${code}:\n    ${ends}`);
}

/** npm says the cause first, apt and Go last. */
function firstAndLast(lines) {
  return lines.length <= 16 ? lines : [...lines.slice(0, 8), '...', ...lines.slice(-8)];
}

/** One line that counts seconds on a terminal; elsewhere a new line every 20 s. */
function tick(label) {
  const start = Date.now();
  const live = process.stdout.isTTY;
  const seconds = () => Math.round((Date.now() - start) / 1000);
  const show = () => {
    if (live) process.stdout.write(`\r  ${label}, ${seconds()} s `);
    else process.stdout.write(`  ${label}, ${seconds()} s\n`);
  };
  const timer = setInterval(show, live ? 1000 : 20_000);
  return () => {
    clearInterval(timer);
    if (live) process.stdout.write('\r\x1b[K');
  };
}
