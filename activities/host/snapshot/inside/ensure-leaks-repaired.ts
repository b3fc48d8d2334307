/** What a QEMU that was killed in a deletion has left in images of a VM that is down. */
import { dirname } from 'node:path';
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import type { NamedVolume } from '../../../../workflows/chain/references.ts';
import type { insideOnHost } from '../../../../workflows/snapshot/inside/activities.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { checkImage, repairLeaks } from '../../../adapters/qemu-img/image-check.ts';
import { identityIn } from '../../../pool-folder/id.ts';
import { lookAtVm } from '../../chain/observe-vm.ts';
import type { HostDeps } from '../../deps.ts';
import { lookInside } from './look-inside.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type Input = InputOf<typeof insideOnHost, 'ensureLeaksRepaired'>;

/** Leaks cost space alone, so a VM that runs keeps them. @returns what is wrong besides */
export async function ensureLeaksRepaired(deps: HostDeps, input: Input): Promise<string[]> {
  const { vm, vmUuid, images } = input;
  const attempted = `checking the images of ${vm}`;
  const { state } = await lookAtVm(deps, { uuid: vmUuid, name: vm }, attempted);
  if (state !== 'off') return [];
  const { chains } = await lookInside(deps, { vm, host: deps.host }, vmUuid);
  const layers = new Set(chains.flatMap(({ volumes }) => volumes.map(({ path }) => path)));
  const warnings: string[] = [];
  for (const image of images) {
    if (!layers.has(image.path)) {
      warnings.push(`${image.path} is no layer of VM ${vm} any more, unchecked`);
    } else warnings.push(...(await repair(deps, vm, image)));
  }
  return warnings;
}

/** Under QEMU's locks: no other process has it open meanwhile. */
async function repair(deps: HostDeps, vm: string, image: NamedVolume): Promise<string[]> {
  const { path } = image;
  const [facts, planned] = await Promise.all([observeFile(path), identityIn(dirname(path), image)]);
  if (!facts || facts.identity !== planned) return [`${path} is another file now, unchecked`];
  let found = await checkImage(path);
  if (found === 'leaks') {
    found = await deps.effect('image.repair-leaks', `${vm} ${path}`, () => repairLeaks(path));
  }
  if (found === 'sound') return [];
  if (found === 'locked') return [`${path} was not checked: some process has it open`];
  if (found === 'unreadable')
    return [`${path} could not be checked: see ${shell`qemu-img check ${path}`}`];
  return [`${path} has errors: ${shell`qemu-img check ${path}`} names them`];
}
