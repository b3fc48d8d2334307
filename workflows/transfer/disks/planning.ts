/** Step 1: a plan of each disk, and of all together, before the first one begins. */
import { assertUnusedElsewhere } from '../../chain/other-hosts.ts';
import type { Agent } from '../../operation/activities.ts';
import type { AgentListener } from '../../operation/agents.ts';
import type { RefusalCode } from '../../operation/failure-codes.ts';
import { failureDetails, refused } from '../../operation/failures.ts';
import { copiesOf } from '../copied.ts';
import { unlessOurs } from '../../operation/parts.ts';
import type { transferOnHost } from '../activities.ts';
import { copyKind, moveKind } from '../kind.ts';
import { momentOf } from '../moment.ts';
import { lackOf } from '../space.ts';
import type { ImagePlan, ImagePlanOutcome } from '../plan.ts';
import type { disksOnHost } from './activities.ts';
import type { DisksFound, DisksPlan, HowSwitched } from './plan.ts';
import type { MoveDisksInput } from './request.ts';
import { disksWords } from './words.ts';
import { shell } from '../../operation/names.ts';

/** Who plans: the operation itself, or a question about it. */
interface Planner extends AgentListener {
  input: MoveDisksInput;
  words: string;
  host: Agent<typeof transferOnHost & typeof disksOnHost>;
}

/** What all disks wait for. */
export type Lack = Extract<ImagePlanOutcome, { kind: 'no-space' | 'pool-away' }>;

interface Asked {
  disk: string;
  /** Of a running VM: at READY it waits for the others. */
  waits: boolean;
  isDown: boolean;
  /** Whether the pause is its own: disks that switch together have one suspension. */
  hasPause: boolean;
  bandwidthBytesPerSecond: number;
  /** As it was planned with the others. */
  planned?: ImagePlan | undefined;
}

interface PlannedDisk {
  disk: string;
  plan: ImagePlan;
}

/** The operation on one disk: its kind and its request. */
export function partOf({ vm, disks, sources, ...options }: MoveDisksInput) {
  return ({ disk, waits, isDown, hasPause, bandwidthBytesPerSecond, planned }: Asked) => {
    const image = { kind: 'disk', vm, disk } as const;
    const common = { ...options, image, bandwidthBytesPerSecond };
    if (sources === 'keep' && isDown) {
      const { wipe, waitForDecision, synchronousWrites, onVmStop, ...unlike } = common;
      const { converge, maxPauseMs, ...copy } = unlike;
      const asOf = planned && momentOf(planned);
      return { kind: copyKind, input: copyKind.request.parse({ ...copy, asOf }) };
    }
    const waitForDecision = waits || options.waitForDecision;
    const asked = {
      ...{ ...common, waitForDecision },
      ...(waits && !options.waitForDecision && { withOthers: true }),
      ...(!hasPause && !options.converge && { maxPauseMs: undefined }),
      ...(sources === 'keep' && { keepsSource: true }),
    };
    return { kind: moveKind, input: moveKind.request.parse(asked) };
  };
}

/**
 * @returns what is missing, to be waited for, where a disk or all of them have no space
 * @throws the refusal of a disk: then nothing is begun
 */
export async function planDisks(planner: Planner): Promise<DisksPlan | Lack> {
  const { input, host, words } = planner;
  const found = await host.observeDisks(input, `plan ${words}`);
  const plans: PlannedDisk[] = [];
  const there: string[] = [];
  for (const disk of found.disks) {
    const outcome = await planDisk(planner, found, disk);
    if (outcome.kind === 'no-space' || outcome.kind === 'pool-away') return outcome;
    if (outcome.kind === 'done') there.push(disk);
    else plans.push({ disk, plan: outcome.plan });
  }
  if (plans.length === 0) {
    return { kind: 'done', reason: `every disk is in pool ${input.to} (${there.join(', ')})` };
  }
  assertNamesDiffer(planner, plans);
  // Each has space for itself.
  const lack = lackOf(
    plans.map(({ plan }) => plan),
    words,
  );
  if (lack) return lack;
  const expectedStallMs = found.stallMsOfEach * plans.length;
  const how = switchOf(planner, found, expectedStallMs);
  return { kind: 'plan', found, switch: how, expectedStallMs, disks: plans, there };
}

async function planDisk(
  planner: Planner,
  found: DisksFound,
  disk: string,
): Promise<ImagePlanOutcome> {
  const { input, host, words } = planner;
  const isDown = found.state === 'off';
  const alone = { hasPause: isDown, waits: !isDown, bandwidthBytesPerSecond: 0 };
  const part = partOf(input)({ disk, isDown, ...alone });
  const request =
    part.kind.type === 'CopyImage'
      ? { operation: 'CopyImage' as const, ...part.input }
      : { operation: 'MoveImage' as const, ...part.input };
  const outcome = await host
    .observeImagePlan(
      request as Parameters<typeof host.observeImagePlan>[0],
      `plan ${disk} for ${words}`,
    )
    .catch(unlessOurs({ vm: input.vm, disk, attempted: words }))
    .catch((error: unknown) => orWithout(input, found, disk, error));
  if (outcome.kind !== 'plan' || outcome.plan.switched) return outcome;
  const { sharedWith: hosts, volumes } = outcome.plan;
  await assertUnusedElsewhere(planner, { attempted: `planning ${words}`, hosts, volumes });
  return outcome;
}

/** Refusals of a disk for what it is: they concern no other disk. */
const OF_DISK: readonly RefusalCode[] = [
  'not-persistent',
  'outside-pools',
  'read-only-disk',
  'transient-disk',
  'unsupported-format',
];

/** @throws `error`; of a whole VM it also advises to name the disks that can move */
function orWithout(input: MoveDisksInput, found: DisksFound, disk: string, error: unknown): never {
  const details = failureDetails(error)?.details;
  const code = OF_DISK.find((one) => one === details?.code);
  const disks = found.disks.filter((one) => one !== disk);
  if (!details || !code || input.disks !== null || disks.length === 0) throw error;
  const { attempted, now, next } = details;
  const others = `blockflow ${disksWords({ ...input, disks })}`;
  throw refused(code, { attempted, now, next: `${next}; or name the others (\`${others}\`)` });
}

/** Each plan has only looked at what is there. @throws Refused `name-taken` */
function assertNamesDiffer({ input, words }: Planner, plans: readonly PlannedDisk[]): void {
  const owners = new Map<string, string>();
  for (const { disk, plan } of plans) {
    for (const { name } of copiesOf(plan)) {
      const other = owners.get(name);
      if (other !== undefined) throw calledTheSame({ input, words }, [other, disk], name);
      owners.set(name, disk);
    }
  }
}

function calledTheSame(
  { input, words }: Pick<Planner, 'input' | 'words'>,
  [first, second]: [string, string],
  name: string,
) {
  const { vm, to, sources } = input;
  return refused('name-taken', {
    attempted: words,
    now: `disks ${first} and ${second} both have a volume ${name}; nothing was done`,
    next:
      sources === 'keep'
        ? 'While the VM is down, give one a name: ' +
          `${shell`blockflow copy ${vm} ${second} --to ${to} --name NAME`}`
        : `Move one of them to another pool, or rename its file first: ${to} can have one ${name}`,
  });
}

/** @throws Refused `pause-too-long` for a copy: its disks cannot be of one moment otherwise */
function switchOf(
  { input, words }: Planner,
  { state, stallMsOfEach }: DisksFound,
  expectedStallMs: number,
): HowSwitched {
  if (state === 'off') return 'of a VM that is down';
  if (expectedStallMs <= input.maxPauseMs) return 'together';
  if (input.sources === 'delete') return 'one after the other';
  throw refused('pause-too-long', {
    attempted: words,
    now:
      `the guest would stand still for about ${expectedStallMs} ms (${stallMsOfEach} ms a disk, ` +
      `as measured on ${input.host}), and may for ${input.maxPauseMs} ms; nothing was done`,
    next: `Say --max-pause ${expectedStallMs}, name fewer disks, or copy it while it is down`,
  });
}
