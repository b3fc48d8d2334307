/**
 * Code as Node has compiled it, kept from one command to the next: a third of the time that a
 * command or an agent takes to start is the compiling of its packages. Plain JavaScript without
 * dependencies.
 */
import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** A role ends by a signal, seldom by itself, which is when Node would write what is new. */
const WRITTEN_AFTER_MS = 5000;

/**
 * In the folder of what set-up and roles keep, once they have made it; nothing is kept where others
 * could change it.
 */
export function keepCompiled(env = process.env) {
  const cache = env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache');
  const folder = resolve(cache, 'blockflow', 'compiled');
  try {
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    if (!isOwn(folder)) return;
  } catch {
    return;
  }
  nodeModule.enableCompileCache(folder);
  setTimeout(nodeModule.flushCompileCache, WRITTEN_AFTER_MS).unref();
}

/** Only this user and root can change what lies there, or put another folder in its place. */
function isOwn(folder) {
  const { uid, mode } = lstatSync(folder);
  const isOurs = uid === 0 || uid === process.getuid?.();
  const isClosed = (mode & 0o022) === 0 || (mode & 0o1000) !== 0;
  return isOurs && isClosed && (dirname(folder) === folder || isOwn(dirname(folder)));
}
