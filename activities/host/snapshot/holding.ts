/** QEMU's locks on several images at once: no VM starts with one of them meanwhile. */
import { whileHeld } from '../../adapters/qemu-img/qemu-img.ts';

/** @returns null when some process has one of them open */
export function holding<T>(paths: readonly string[], use: () => Promise<T>): Promise<T | null> {
  const [path, ...others] = paths;
  if (path === undefined) return use();
  return whileHeld(path, () => holding(others, use));
}
