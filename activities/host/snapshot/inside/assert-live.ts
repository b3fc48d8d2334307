/** The question whether a running VM can do it, asked of libvirt and the images. */
import { refused } from '../../../../workflows/operation/failures.ts';
import type { InnerPart } from '../../../../workflows/snapshot/delete/plan.ts';
import { hasNvram } from '../../../adapters/libvirt-xml/domain-xml.ts';
import type { Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import type { HostDeps } from '../../deps.ts';
import { liveObstacle } from './live-rules.ts';
import type { Inside } from './look-inside.ts';
import { shell } from '../../../../workflows/operation/names.ts';

interface Question {
  attempted: string;
  name: string;
  inside: Inside;
  parts: readonly InnerPart[];
  listed: Snapshot | undefined;
}

/** @throws Refused `vm-running` with the ways that work */
export async function assertLive(deps: HostDeps, question: Question): Promise<void> {
  const { attempted, name, inside, parts, listed } = question;
  const { vm, live, chains } = inside;
  const [version, xml] = await Promise.all([
    deps.libvirt.version(),
    deps.libvirt.currentXml(vm.uuid),
  ]);
  const obstacle = liveObstacle({
    name,
    libvirt: /Running against daemon: (\S+)/.exec(version)?.[1] ?? 'of an unknown version',
    disks: live?.disks ?? [],
    hasNvram: hasNvram(xml ?? ''),
    images: chains.map(({ disk, volumes, headers }) => {
      const path = volumes.at(-1)?.path ?? '';
      return { disk, path, inside: headers.get(path)?.internalSnapshots ?? [] };
    }),
    parts,
    listed: listed ? listed.disks.map(({ kind }) => kind) : null,
  });
  if (!obstacle) return;
  const newer = obstacle.onlyOld ? ', or use libvirt 10.9 or newer' : '';
  throw refused('vm-running', {
    attempted,
    now: `VM ${vm.name} is ${vm.state}, and ${obstacle.why}; nothing was touched`,
    next: `Shut it down (${shell`virsh shutdown ${vm.name}`}) and repeat the request${newer}`,
  });
}
