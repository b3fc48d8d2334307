/**
 * Which volumes a request means: pure, so that every combination is tested. Defaults are virsh
 * blockcommit's.
 */
import { basename } from 'node:path';
import { refused } from '../../../../workflows/operation/failures.ts';
import type { GuestState, Volume } from '../../../../workflows/chain/schemas.ts';
import type { LiveMergeInput } from '../../../../workflows/merge/request.ts';
import { shell } from '../../../../workflows/operation/names.ts';

export interface Selection {
  top: Volume;
  base: Volume;
  /** Above base, up to and including top. */
  committed: Volume[];
  /** The volume above top, null when top is the active layer. */
  overlay: Volume | null;
}

/**
 * Chooses top and base from a chain (base-most first).
 * @param snapshotLayer path of the overlay that `--snapshot` names, when it was given.
 * @returns null when nothing lies above the base and the request names no top: the work is already
 * done.
 * @throws Refused: volume-not-in-chain, reversed, nothing-to-merge.
 */
export function selectVolumes(
  input: LiveMergeInput,
  chain: readonly Volume[],
  snapshotLayer?: string,
): Selection | null {
  const topName = snapshotLayer ?? input.top;
  if (chain.length === 1 && topName === undefined && input.base === undefined) return null;
  const topAt = topName === undefined ? chain.length - 1 : find(input, chain, topName);
  const shallow = input.shallow || snapshotLayer !== undefined;
  const baseAt =
    input.base === undefined ? (shallow ? topAt - 1 : 0) : find(input, chain, input.base);
  if (topName === undefined && topAt === baseAt) return null;
  if (topAt === 0 || topAt === baseAt) throw nothing(input, chain[topAt] as Volume);
  if (baseAt > topAt) throw reversed(input, chain[topAt] as Volume, chain[baseAt] as Volume);
  return {
    top: chain[topAt] as Volume,
    base: chain[baseAt] as Volume,
    committed: chain.slice(baseAt + 1, topAt + 1),
    overlay: chain[topAt + 1] ?? null,
  };
}

/**
 * @throws Refused `invalid-request` for options that contradict each other, or that this disk
 * cannot follow.
 */
export function assertPossible(
  input: LiveMergeInput,
  selected: Selection,
  guest: GuestState,
): void {
  const { top, base } = selected;
  const why = contradiction(input) ?? impossibility(input, selected, guest);
  if (why === null) return;
  throw refused('invalid-request', {
    attempted: `merging ${top.path} into ${base.path} of ${input.vm}/${input.disk}`,
    now: `${why}; nothing was done`,
    next: 'See `blockflow merge --help`, and leave one of the options out',
  });
}

function contradiction(input: LiveMergeInput): string | null {
  const named = input.top !== undefined || input.base !== undefined || input.shallow;
  if (input.snapshot !== undefined && named) {
    return 'a snapshot names its layer, so --top, --base and --shallow cannot be given with it';
  }
  if (input.base !== undefined && input.shallow) return '--base and --shallow both name the base';
  if (input.converge && (input.waitForDecision || input.keepOverlay)) {
    const other = input.waitForDecision ? '--wait-for-decision' : '--keep-overlay';
    return `--converge suspends the guest for the pivot, which ${other} leaves open`;
  }
  if (input.waitForDecision && input.onVmStop === 'continue') {
    return '--on-vm-stop continue would take the decision that --wait-for-decision waits for';
  }
  return null;
}

function impossibility(
  { keepOverlay, waitForDecision }: LiveMergeInput,
  { overlay }: Selection,
  guest: GuestState,
): string | null {
  const option = keepOverlay ? '--keep-overlay' : waitForDecision ? '--wait-for-decision' : null;
  if (option && overlay) return `${option} is for the active layer: an inner job ends by itself`;
  const offline = waitForDecision && guest === 'off';
  return offline ? '--wait-for-decision needs a running VM: an offline commit has no READY' : null;
}

function find(input: LiveMergeInput, chain: readonly Volume[], name: string): number {
  const index = /^([a-z][a-z0-9]*)\[(\d+)\]$/.exec(name);
  const matches = (volume: Volume) =>
    index
      ? index[1] === input.disk && volume.index === Number(index[2])
      : name.startsWith('/')
        ? volume.path === name
        : basename(volume.path) === name;
  const found = chain.flatMap((volume, i) => (matches(volume) ? [i] : []));
  if (found.length === 1) return found[0] as number;
  const what = found.length === 0 ? 'it is not there' : 'the name fits several volumes';
  throw refused('volume-not-in-chain', {
    attempted: `finding volume ${name} in the chain of ${input.vm}/${input.disk}`,
    now: `${what}; the chain is ${chain.map(label).join(' <- ')}`,
    next: 'Name it by path, by name in its pool, or by index such as vda[2]',
  });
}

const label = (volume: Volume) =>
  volume.index === null ? volume.path : `${volume.path} [${volume.index}]`;

function nothing(input: LiveMergeInput, volume: Volume) {
  return refused('nothing-to-merge', {
    attempted: `merging ${volume.path} of ${input.vm}/${input.disk}`,
    now: 'there is no volume below it that it could be committed into',
    next: `See ${shell`blockflow chain ${input.vm} ${input.disk}`} for what can be merged`,
  });
}

function reversed(input: LiveMergeInput, top: Volume, base: Volume) {
  return refused('reversed', {
    attempted: `merging ${top.path} into ${base.path} of ${input.vm}/${input.disk}`,
    now: 'base lies above top in the chain',
    next: 'A commit goes from top down into base: swap the two names',
  });
}
