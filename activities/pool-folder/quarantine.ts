/**
 * `POOL/.blockflow/<job>-<name>`: volumes that have left their chain, out of sight until they are
 * wiped and unlinked. Where that is longer than a file system takes, `<job>-<SHA-256 of it>`.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { OWN_FOLDER } from './own-folder.ts';

/** Bytes that every file system of a pool takes. */
const LONGEST_NAME = 255;

/** Where a volume is between the end of its name and its own end. */
export function quarantinePathOf(path: string, jobId: string): string {
  const name = `${jobId}-${basename(path)}`;
  const digest = createHash('sha256').update(name).digest('hex');
  const isShort = Buffer.byteLength(name) <= LONGEST_NAME;
  return join(dirname(path), OWN_FOLDER, isShort ? name : `${jobId}-${digest}`);
}
