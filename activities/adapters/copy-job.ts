/** The copy of one volume's container, byte for byte, as a mirror job of the job's daemon. */
import { askCopier } from './image-copier.ts';
import { QmpError, type QmpCommand } from './qmp.ts';

/**
 * O_DIRECT to the target wants lengths divisible by this; the rest of a container is written by
 * `finishCopy`. A byte copy
 * keeps what `qemu-img convert` loses: internal snapshots, bitmaps, cluster layout
 * (moving-images.md 2).
 */
export const COPY_UNIT = 4096;

export interface CopyRequest {
  id: string;
  source: string;
  target: string;
  /** A multiple of COPY_UNIT. */
  bytes: number;
  bandwidthBytesPerSecond: number;
}

/**
 * The fastest first (1.5 s for 4 GiB, where buffered io_uring takes 6 s); not every kernel or file
 * system has each.
 */
const WAYS = [
  { aio: 'io_uring', direct: true },
  { aio: 'threads', direct: true },
  { aio: 'threads', direct: false },
];

/** @throws QmpError with QEMU's words when no way works; Error when the daemon has gone. */
export async function startCopy(state: string, request: CopyRequest): Promise<void> {
  for (const [attempt, way] of WAYS.entries()) {
    try {
      if ((await askCopier(state, addNodes(request, way))) === null) throw gone(request);
      break;
    } catch (error) {
      await removeNodes(state, request.id);
      if (!(error instanceof QmpError) || attempt === WAYS.length - 1) throw error;
    }
  }
  if ((await askCopier(state, [mirror(request)])) === null) throw gone(request);
}

function addNodes(request: CopyRequest, way: { aio: string; direct: boolean }): QmpCommand[] {
  const { id, source, target, bytes } = request;
  const file = { driver: 'file', filename: source, 'read-only': true, aio: way.aio };
  return [
    add({
      driver: 'raw',
      'node-name': `from-${id}`,
      'read-only': true,
      offset: 0,
      size: bytes,
      file,
    }),
    add({
      driver: 'file',
      'node-name': `to-${id}`,
      filename: target,
      aio: way.aio,
      cache: { direct: way.direct },
      // Without it zeros are written out, and a sparse source becomes a full target.
      discard: 'unmap',
    }),
  ];
}

const add = (options: Record<string, unknown>) => ({ execute: 'blockdev-add', arguments: options });

const mirror = ({ id, bandwidthBytesPerSecond }: CopyRequest): QmpCommand => ({
  execute: 'blockdev-mirror',
  arguments: {
    'job-id': id,
    device: `from-${id}`,
    target: `to-${id}`,
    sync: 'full',
    speed: bandwidthBytesPerSecond,
    // The result, and the error's text, stay until somebody has read them.
    'auto-dismiss': false,
    // Without space the job pauses; every other error ends it.
    'on-target-error': 'enospc',
  },
});

const gone = ({ source }: CopyRequest) =>
  new Error(`the daemon that copies ${source} ended while it was asked`);

async function removeNodes(state: string, id: string): Promise<void> {
  for (const node of [`from-${id}`, `to-${id}`]) {
    const command = { execute: 'blockdev-del', arguments: { 'node-name': node } };
    await askCopier(state, [command]).catch(ignoreRefusal);
  }
}

/**
 * Ends a job that is READY: target and source hold the same, and the target is flushed. Not
 * `job-complete`, which would put the target in the source's place in the daemon.
 */
export const endCopy = (state: string, id: string) => command(state, 'block-job-cancel', id);
/** Goes on after a pause for lack of space. */
export const resumeCopy = (state: string, id: string) => command(state, 'block-job-resume', id);

const command = (state: string, execute: string, device: string) =>
  askCopier(state, [{ execute, arguments: { device } }]).catch(ignoreRefusal);

/** Forgets an ended job and lets go of its files. */
export async function dismissCopy(state: string, id: string): Promise<void> {
  await askCopier(state, [{ execute: 'job-dismiss', arguments: { id } }]).catch(ignoreRefusal);
  await removeNodes(state, id);
}

/** Sets the limit of a running job. */
export async function setCopySpeed(state: string, id: string, speed: number): Promise<void> {
  const limit = { execute: 'block-job-set-speed', arguments: { device: id, speed } };
  await askCopier(state, [limit]).catch(ignoreRefusal);
}

/** Refused because it is so already: the caller observes again. */
const ignoreRefusal = (error: unknown): null => {
  if (error instanceof QmpError) return null;
  throw error;
};
