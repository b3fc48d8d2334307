/** The dirty bitmaps in a qcow2 file that no process has open. */
import { run } from '../process/command.ts';

export interface DirtyBitmap {
  name: string;
  granularityBytes: number;
  /** It records what is written; one that does not is of a closed span of time. */
  isEnabled: boolean;
  /** Its writer ended without storing it: QEMU uses it no more. */
  isBroken: boolean;
}

type Wanted = Pick<DirtyBitmap, 'name' | 'granularityBytes' | 'isEnabled'>;

/** An empty one; an error where there is one of that name. */
export async function addBitmap(path: string, wanted: Wanted): Promise<void> {
  const { name, granularityBytes, isEnabled } = wanted;
  const options = ['-g', String(granularityBytes), ...(isEnabled ? [] : ['--disable'])];
  await change('--add', options, path, name);
}

export const enableBitmap = (path: string, name: string) => change('--enable', [], path, name);

/** Adds what the bitmap of the same name in `from` has; their disks have to be of one size. */
export const mergeBitmap = (path: string, name: string, from: string) =>
  change('--merge', [name, '-b', from, '-F', 'qcow2'], path, name);

async function change(action: string, options: readonly string[], path: string, name: string) {
  await run('qemu-img', ['bitmap', action, ...options, '-f', 'qcow2', '--', path, name]);
}
