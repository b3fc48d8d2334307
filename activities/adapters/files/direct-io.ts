/** Files past the page cache. */
import { constants } from 'node:fs';
import { open } from './calls.ts';

/** Whether the file system of an existing file has O_DIRECT: open(2) says EINVAL without it. */
export async function opensDirectly(path: string): Promise<boolean> {
  const { O_RDONLY, O_DIRECT, O_NOFOLLOW } = constants;
  try {
    await (await open(path, O_RDONLY | O_DIRECT | O_NOFOLLOW)).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false;
    throw error;
  }
}
