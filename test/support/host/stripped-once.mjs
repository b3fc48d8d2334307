/**
 * For processes that are started with `--import` of this file: sources without their types are kept
 * by the hash of their text, and compiled code by Node itself. Else each process strips and
 * compiles all again, which is a third of the processor time that a role takes to start. What runs
 * is the same, at its own URL.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import {
  enableCompileCache,
  flushCompileCache,
  registerHooks,
  stripTypeScriptTypes,
} from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Beside the private hosts, see host-folder.ts. */
const cache = '/tmp/blockflow-test';
const folder = join(cache, 'stripped');

enableCompileCache(join(cache, 'compiled'));
// Node writes what is new when a process ends by itself, which a role seldom does.
setTimeout(flushCompileCache, 5000).unref();

function stripped(text) {
  const hash = createHash('sha256').update(process.version).update(text).digest('hex');
  const file = join(folder, `${hash.slice(0, 32)}.js`);
  try {
    return readFileSync(file, 'utf8');
  } catch {
    const source = stripTypeScriptTypes(text);
    mkdirSync(folder, { recursive: true });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, source);
    renameSync(draft, file);
    return source;
  }
}

registerHooks({
  load(url, context, nextLoad) {
    if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
    const source = stripped(readFileSync(fileURLToPath(url), 'utf8'));
    return { format: 'module', source, shortCircuit: true };
  },
});
