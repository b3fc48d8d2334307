/** Links by which a VM names files that are about to be deleted. */
import { canonical, isLink } from '../../adapters/files/files.ts';
import type { Chain } from './observe-chain.ts';

/** In words: the record names the new file itself, and the owner of the link may still use it. */
export async function linksTo(
  { live, persistentDomain, disk }: Chain,
  deleted: readonly { path: string }[],
): Promise<string[]> {
  const disks = [live, persistentDomain].map((domain) =>
    domain?.disks.find(({ target }) => target === disk),
  );
  const names = new Set(disks.flatMap((found) => found?.chain.map(({ path }) => path) ?? []));
  const told: string[] = [];
  for (const name of names) {
    const path = await canonical(name);
    if (!deleted.some((volume) => volume.path === path) || !(await isLink(name))) continue;
    told.push(`${name} is a link to ${path}, and leads to no file once that is deleted`);
  }
  return told;
}
