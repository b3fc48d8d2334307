/**
 * The calls of file systems, each in the lane of its pool (lanes.ts): with them as with
 * `node:fs/promises`, which agents use nowhere else.
 */
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import type { FilePath } from './paths.ts';
import { inLane } from './lanes.ts';

export type { FileHandle } from 'node:fs/promises';

/** A file system that has not answered a question for so long is silent. */
export const ANSWER_WITHIN_MS = 60_000;

/* eslint-disable @typescript-eslint/no-explicit-any -- calls keep all of their overloads */
type AnyCall = (path: any, ...more: any[]) => Promise<any>;

/** Only reads, and may be given up. */
const question = <C extends AnyCall>(what: string, call: C): C =>
  guarded(what, call, ANSWER_WITHIN_MS);
/** Changes something, perhaps later than it is waited for. */
const change = <C extends AnyCall>(what: string, call: C): C => guarded(what, call, null);

const guarded = <C extends AnyCall>(what: string, call: C, withinMs: number | null): C =>
  ((path: FilePath, ...more: unknown[]) =>
    inLane({ what, path, withinMs, call: () => call(path, ...more) })) as C;

export const access = question('access', fs.access);
export const lstat = question('lstat', fs.lstat);
export const readdir = question('readdir', fs.readdir);
export const readFile = question('read', fs.readFile);
export const readlink = question('readlink', fs.readlink);
export const realpath = question('realpath', fs.realpath);
/** Of who only wants to know which part of a path it is that does not answer. */
export const readlinkSoon = guarded('readlink', fs.readlink, 2000);
export const stat = question('stat', fs.stat);
export const statfs = question('statfs', fs.statfs);

export const appendFile = change('append', fs.appendFile);
export const copyFile = change('copy', fs.copyFile);
export const link = change('link', fs.link);
export const mkdir = change('mkdir', fs.mkdir);
export const rename = change('rename', fs.rename);
export const rm = change('rm', fs.rm);
export const unlink = change('unlink', fs.unlink);
export const writeFile = change('write', fs.writeFile);

const READS: readonly unknown[] = [undefined, 'r', 'r+'];
const changes = (flags: unknown) =>
  typeof flags === 'number'
    ? (flags & (constants.O_CREAT | constants.O_TRUNC)) !== 0
    : !READS.includes(flags);

/** A file that is opened when it is not waited for any more is closed again. */
export const open: typeof fs.open = async (path, flags, mode) => {
  const withinMs = changes(flags) ? null : ANSWER_WITHIN_MS;
  const place = path as FilePath;
  const call = () => fs.open(path, flags, mode);
  const late = (file: fs.FileHandle) => void file.close();
  return guardFile(await inLane({ what: 'open', path: place, withinMs, late, call }), place);
};

const READING = ['read', 'stat', 'readFile'];
const CHANGING = ['write', 'writev', 'writeFile', 'sync', 'datasync', 'truncate', 'chmod', 'chown'];

/** The same file, whose calls are in the lane of its path. */
function guardFile(file: fs.FileHandle, path: FilePath): fs.FileHandle {
  return new Proxy(file, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const bound = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      const what = String(key);
      if (!READING.includes(what) && !CHANGING.includes(what)) return bound;
      const withinMs = READING.includes(what) ? ANSWER_WITHIN_MS : null;
      return (...args: unknown[]) => inLane({ what, path, withinMs, call: () => bound(...args) });
    },
  });
}
