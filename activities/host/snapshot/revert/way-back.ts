/** How one goes back to a snapshot that is inside of images, which blockflow does not do. */
import { shell, typed } from '../../../../workflows/operation/names.ts';
import { observeChain, type Chain } from '../../chain/observe-chain.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import type { HostDeps } from '../../deps.ts';
import { innerOf } from '../inside/look-inside.ts';

interface Inside {
  attempted: string;
  vm: string;
  name: string;
  /** Disks that have it inside. */
  disks: readonly string[];
  /** Of another program, which libvirt knows by name only (`snapshot='manual'`). */
  isManual: boolean;
}

/**
 * libvirt does it with `qemu-img snapshot -a`, which takes the name for an id first, and looks at
 * no layer that stands on the image.
 * @returns what to type
 */
export async function wayBack(deps: HostDeps, inside: Inside): Promise<string> {
  const { attempted, vm, name, disks, isManual } = inside;
  if (isManual) return 'The program that took it has to go back to it';
  const look = (disk: string) =>
    observeChain(deps, { vm, disk, host: deps.host }).catch(refuseMissingLayer(deps, attempted));
  const chains = await Promise.all(disks.map(look));
  const covered = chains.filter((chain) => !isInActive(chain, name));
  if (covered.length > 0) {
    const which = covered.map(({ disk }) => disk).join(', ');
    return (
      `Layers stand on the image of ${which} now, and going back would spoil them: delete the ` +
      `snapshots that were taken since (${shell`blockflow snapshot list ${vm}`}), then repeat this`
    );
  }
  const isId = chains.some((chain) => innerOf(chain).some(({ id }) => id === name));
  if (isId) {
    const own = chains.flatMap((chain) => innerOf(chain).filter((one) => one.name === name));
    const commands = own.map(({ id, path }) => `qemu-img snapshot -a ${typed(id)} ${typed(path)}`);
    return (
      `Another snapshot has ${name} for its id, and \`virsh snapshot-revert\` would go back to ` +
      `that one. VM down, by its own id: \`${commands.join(' && ')}\`, which discards what was ` +
      'written since'
    );
  }
  const command = shell`virsh snapshot-revert ${vm} ${name}`;
  return (
    `libvirt goes back to such a one itself, VM down: ${command}` +
    ', which discards what was written since (libvirt 11.2 and 11.3 fail at it, 11.4 does it)'
  );
}

function isInActive({ volumes, ...chain }: Chain, name: string): boolean {
  const active = volumes.at(-1)?.path;
  return innerOf(chain).some((one) => one.name === name && one.path === active);
}
