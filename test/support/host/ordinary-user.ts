/**
 * Commands of a user without rights, on a machine whose clone and cache only root may read: they
 * see both by mounts of their own. Without root, the tests' own user is one.
 */
import { chown, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findTemporalBinary } from '../../../worker/up/temporal-binary.ts';
import type { Through } from './roles/command-line.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');
const SOME_USER = 65533;
const CACHE = 'home/.cache/blockflow/bin';
const SCRIPT =
  `mount --bind "$1" "$2/tree" && mount --bind "$3" "$2/${CACHE}" && ` +
  'cd "$2" && shift 3 && exec setpriv --reuid $0 --regid $0 --clear-groups "$@"';

/** @param folder becomes that user's */
export async function asOrdinaryUser(
  folder: string,
  uid = SOME_USER,
): Promise<Through | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const path of ['tree', 'state', CACHE]) await mkdir(join(folder, path), { recursive: true });
  const binary = (await findTemporalBinary()) ?? '';
  for (const path of ['', 'state', 'home', 'home/.cache', 'home/.cache/blockflow']) {
    await chown(join(folder, path), uid, uid);
  }
  const place = [root, folder, dirname(binary)];
  return (command) => [
    ...['unshare', '--mount', 'sh', '-c', SCRIPT, String(uid), ...place],
    ...['env', `HOME=${join(folder, 'home')}`],
    ...command.map((word) => word.replace(root, join(folder, 'tree'))),
  ];
}
