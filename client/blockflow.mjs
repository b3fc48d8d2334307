#!/usr/bin/env node
/**
 * Starts the command line with a Node that can run it: this one, or the Node 22 of this package. In
 * a clone the source runs as it is, by type stripping; installed, what `npm run build` made of it.
 * Plain JavaScript without dependencies.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { keepCompiled } from './compiled.mjs';

// A file system that hangs keeps threads (activities/adapters/files/lanes.ts); read at their start.
process.env.UV_THREADPOOL_SIZE ??= '128';

const pathOf = (name) => fileURLToPath(new URL(name, import.meta.url));
const [major, minor] = process.versions.node.split('.').map(Number);
const ownNode = pathOf('../node_modules/.bin/node');

if (major > 22 || (major === 22 && minor >= 18)) {
  dieWithLauncher();
  hideExperimentalWarnings();
  keepCompiled();
  await import(existsSync(pathOf('cli/main.ts')) ? './cli/main.ts' : '../dist/client/cli/main.js');
} else if (existsSync(ownNode)) {
  runWith(ownNode);
} else {
  process.stderr.write(
    `blockflow needs Node 22.18 or newer, this is ${process.version}. ` +
      'In a clone `node setup.mjs` installs one that blockflow finds by itself.\n',
  );
  process.exitCode = 4;
}

function runWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // A terminal sends ^C to both; a signal to this process alone is meant for the command.
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  child.on('error', (error) => {
    process.stderr.write(`blockflow: ${node} does not start: ${error.message}\n`);
    process.exitCode = 4;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}

/** A SIGKILL of the launcher is meant for the command: it must not live on unseen. */
function dieWithLauncher() {
  if (!process.channel) return;
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
}

/** Type stripping announces itself as experimental on each start; other warnings stay. */
function hideExperimentalWarnings() {
  const printers = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'ExperimentalWarning') return;
    for (const print of printers) print.call(process, warning);
  });
}
