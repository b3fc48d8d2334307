/**
 * The agents' activities on one image in memory: a move of it goes on copying unless it is told to
 * end, and its target pool can be unavailable.
 */
import { Context } from '@temporalio/activity';
import { poolAway } from '../../../workflows/operation/failures.ts';
import type { CopyImageInput, MoveImageInput } from '../../../workflows/transfer/request.ts';
import type { ImagePlan } from '../../../workflows/transfer/plan.ts';
import type { HostActivities } from '../../../activities/host/index.ts';
import type { StorageActivities } from '../../../activities/storage/index.ts';
import type { Bench } from '../workflow-bench.ts';
import type { ReservationEnd } from '../../../workflows/pools/activities.ts';

export class SimulatedImage {
  /** What the target pool holds: by job, who has it. */
  readonly reserved = new Map<string, string>();
  readonly calls: string[] = [];
  isAway = false;
  copies = true;
  /** What an earlier run has switched the record to, before it was ended. */
  switched: { jobId: string; owner: string } | null = null;
  /** Waited for by the activity of this name. */
  gate: { activity: string; pass(): Promise<void> } | null = null;
}

type Activities = Partial<HostActivities & StorageActivities>;

const beatUntil = async (is: () => boolean) => {
  while (!is()) {
    Context.current().heartbeat();
    await Context.current().sleep(10);
  }
};

const to = { pool: 'attic', folder: '/pools/attic', identity: '2:1' };
const planOf = (
  { host, verify }: MoveImageInput | CopyImageInput,
  { switched: adopted }: SimulatedImage,
): ImagePlan => ({
  host,
  vm: null,
  to,
  snapshots: [],
  switched: adopted !== null,
  live: null,
  sharedWith: [],
  totalBytes: 1,
  spaceNeededBytes: 1,
  spaceFreeBytes: 9,
  adopted,
  leftovers: [],
  usedLeftovers: [],
  elsewhere: [],
  verify,
  volumes: [
    {
      path: '/pools/images/a.qcow2',
      pool: 'images',
      format: 'qcow2',
      identity: '1:2',
      sizeBytes: 1,
      allocatedBytes: 1,
      modifiedNs: '0',
      name: 'a.qcow2',
      rebase: null,
      convert: null,
    },
  ],
});

/** What the agents of host and pool would do with it. */
function imageActivities(image: SimulatedImage): Activities {
  const assertThere = () => {
    const words = { attempted: 'looking', now: 'the pool is unavailable', next: 'Mount it' };
    if (image.isAway) throw poolAway(words);
  };
  const activities: Activities = {
    observeImagePlan: (request) => Promise.resolve({ kind: 'plan', plan: planOf(request, image) }),
    async ensureImageReserved({ jobId, owner }) {
      image.reserved.set(jobId, owner);
      return Promise.resolve({ outcome: 'reserved' });
    },
    ensureImageHeld: () => Promise.resolve({ outcome: 'held' }),
    async ensureVolumeCopied() {
      await beatUntil(() => !image.copies);
      return { outcome: 'copied', by: 'mirror' };
    },
    ensureImageNamed: () => Promise.resolve({ outcome: 'named' }),
    ensureRecordSwitched: () => Promise.resolve({ outcome: 'switched' }),
    ensureImageReleased: () => Promise.resolve(),
    ensureEarlierReleased: () => Promise.resolve(),
    async observeRemovalPlan() {
      assertThere();
      return Promise.resolve({ volumes: [], totalBytes: 0, sharedWith: [] });
    },
    awaitPool: () => beatUntil(() => !image.isAway),
    async ensureReservationAbsent({ jobId, owners }): Promise<ReservationEnd> {
      assertThere();
      const none = { deleted: [], regainedBytes: 0 };
      const owner = image.reserved.get(jobId);
      if (owner && owners && !owners.includes(owner)) return { outcome: 'kept', ...none };
      image.reserved.delete(jobId);
      return Promise.resolve({ outcome: 'removed', ...none });
    },
  };
  return traced(image, activities);
}

/** Serves agents of host h2 and pool attic, whose image is the one that a test has just now. */
export async function serveImage(bench: Bench, image: () => SimulatedImage): Promise<void> {
  type Call = (input: unknown) => Promise<unknown>;
  const callOf = (name: string) => (input: unknown) =>
    (imageActivities(image()) as Record<string, Call>)[name]?.(input);
  const names = Object.keys(imageActivities(new SimulatedImage()));
  const activities = Object.fromEntries(names.map((name) => [name, callOf(name)]));
  for (const queue of ['host-h2', 'spm-attic']) await bench.serve(queue, activities);
}

function traced(image: SimulatedImage, activities: Activities): Activities {
  const wrapped = Object.entries(activities).map(([name, run]) => {
    const activity = async (input: never) => {
      image.calls.push(name);
      if (image.gate?.activity === name) await image.gate.pass();
      return (run as (input: never) => Promise<unknown>)(input);
    };
    return [name, activity];
  });
  return Object.fromEntries(wrapped) as Activities;
}
