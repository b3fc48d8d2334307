/** What a running move or copy knows of itself besides what every operation does. */
import { acceptBandwidth } from '../operation/steering/bandwidth.ts';
import { agentsOf, type Agents, type Operation } from '../operation/operation.ts';
import type { Convergence } from '../operation/steering/convergence.ts';
import type { Decision } from '../operation/steering/decision.ts';
import type { poolsOnHost, poolsOnStorage } from '../pools/activities.ts';
import type { ImageJob, transferOnHost, transferOnStorage } from './activities.ts';
import type { copyKind, moveKind } from './kind.ts';
import type { Asked } from './together.ts';

type OnHost = typeof transferOnHost & typeof poolsOnHost;
type OnStorage = typeof transferOnStorage & typeof poolsOnStorage;

export interface Transfer
  extends Operation<typeof moveKind | typeof copyKind>, Agents<OnHost, OnStorage> {
  /** Under which this run has its reservations: an id of its own, also in the job of an earlier. */
  owner: string;
  /** While the image that is moved is a running VM's: what its active layer is mirrored by. */
  mirroring: ImageJob | null;
  /** The end of that mirror has found that the VM is on its copy: nothing can be undone. */
  hasSwitched: boolean;
}

/** Of a disk that is to leave its source. */
export type Move = Transfer &
  Operation<typeof moveKind> & { decision: Decision; convergence: Convergence; asked: Asked };

/** Reaches its agents, and takes the message that changes its limit. */
export function openTransfer<O extends Operation<typeof moveKind> | Operation<typeof copyKind>>(
  opened: O,
): O & Transfer {
  const op = Object.assign(opened, {
    owner: opened.jobId,
    mirroring: null,
    hasSwitched: false,
    ...agentsOf<OnHost, OnStorage>(opened),
  }) as O & Transfer;
  acceptBandwidth(op, {
    assertPossible: () => undefined,
    async apply(words) {
      const { bandwidthBytesPerSecond, phase } = op.status;
      if (phase === 'mirroring' && op.mirroring) {
        const input = { ...op.mirroring, bandwidthBytesPerSecond };
        return op.host.ensureMirrorBandwidth(input, `limit the mirror to ${words}`);
      }
      const input = { jobId: op.jobId, bandwidthBytesPerSecond };
      await op.host.ensureCopyBandwidth(input, `limit the copy to ${words}`);
      return true;
    },
  });
  return op;
}
