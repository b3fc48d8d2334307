/**
 * Records and headers that blockflow writes name a file with links resolved, and QEMU looks for a
 * relative backing name in the folder of the name that it was given (block.c, QEMU 7.2): behind a
 * link there may be another file of that name, or none.
 */
import { dirname } from 'node:path';
import { refused } from '../../../workflows/operation/failures.ts';
import { shell } from '../../../workflows/operation/names.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { nameFrom } from '../../adapters/files/paths.ts';
import { relativeName } from './backing-name.ts';
import { withoutProtocol } from './header-chain.ts';
import type { Chain } from './observe-chain.ts';

type Layers = Pick<Chain, 'volumes' | 'headers'>;

/**
 * @param named a layer that is to be opened by its path with links resolved
 * @throws Refused `broken-chain` where other files would be below it then
 */
export async function assertSameBelow(
  attempted: string,
  { volumes, headers }: Layers,
  named: Volume,
): Promise<void> {
  let opened = named.path;
  for (let at = volumes.findIndex(({ path }) => path === named.path); at > 0; at--) {
    const [below, layer] = volumes.slice(at - 1, at + 1) as [Volume, Volume];
    const header = headers.get(layer.path);
    const name = withoutProtocol(header?.backingName ?? '');
    // QEMU was given the same name before.
    if (name.startsWith('/') || header?.openedAs === opened) return;
    const found = nameFrom(dirname(opened), name);
    if (!(await isFile(found, below))) {
      const { format, path } = below;
      throw refused('broken-chain', {
        attempted,
        now:
          `QEMU opens ${layer.path} by the link ${header?.openedAs}, and finds its backing file ` +
          `${name} from there; without that link it would be ${found}, which is not ${path}; ` +
          'nothing was done',
        next:
          'Shut the VM down and let the header name the whole path: ' +
          shell`qemu-img rebase -u -f qcow2 -F ${format} -b ${path} ${layer.path}`,
      });
    }
    opened = found;
  }
}

/** @throws Refused `broken-chain` where QEMU would not find base by its name from the overlay */
export async function assertSameFrom(
  attempted: string,
  { headers }: Layers,
  overlay: Volume,
  base: Volume,
): Promise<void> {
  const opened = headers.get(overlay.path)?.openedAs ?? overlay.path;
  const name = relativeName(overlay, base);
  const found = nameFrom(dirname(opened), name);
  if (await isFile(found, base)) return;
  throw refused('broken-chain', {
    attempted,
    now:
      `QEMU opens ${overlay.path} by the link ${opened}: from there ${name} would be ${found}, ` +
      `which is not ${base.path}; nothing was done`,
    next: 'Leave out --keep-relative: the header has the whole path then',
  });
}

const isFile = async (path: string, { identity }: Volume) =>
  (await observeFile(path))?.identity === identity;
