/**
 * The copy of one volume as a mirror job of the job's daemon: its container byte for byte, or what
 * a guest reads in it.
 */
import { askCopier } from './daemon.ts';
import { readingNode, syncOf, writingNode, type Rewriting, type Way } from './conversion.ts';
import { QmpError, type QmpCommand } from './qmp.ts';

/**
 * O_DIRECT to the target wants lengths divisible by this; the rest of a container is written by
 * `completeCopy`. A byte copy keeps what `qemu-img convert` loses: internal snapshots, bitmaps,
 * cluster layout (docs/lab/qemu.md).
 */
export const COPY_UNIT = 4096;

export interface CopyRequest {
  id: string;
  source: string;
  target: string;
  /** Length of the source's file. */
  sizeBytes: number;
  /** Bytes of the container, a multiple of COPY_UNIT; or from which format to which. */
  what: { bytes: number } | Rewriting;
  bandwidthBytesPerSecond: number;
}

/**
 * Bytes on their way at once, a sixteenth of them in one request. With QEMU's own 16 MiB a cold
 * 1 GiB takes 2.9 s, with this 2.1 s, and 1.4 s when the source is read past the cache, too;
 * `qemu-img convert -W` 1.6 s (docs/lab/qemu.md).
 */
const BUFFER_BYTES = 64 * 2 ** 20;

/** The fastest first; not every kernel or file system has each. */
const WAYS: Way[] = [
  { aio: 'io_uring', direct: true },
  { aio: 'threads', direct: true },
  { aio: 'threads', direct: false },
];
/**
 * With io_uring QEMU 7.2.22 hangs in the last sector of a file that ends within it, in one of five
 * runs; O_DIRECT wants whole units. Copies of containers never come to the end of a file.
 */
const waysOf = ({ what, sizeBytes }: CopyRequest) =>
  'bytes' in what || (sizeBytes % 512 === 0 && what.virtualSizeBytes % COPY_UNIT === 0)
    ? WAYS
    : WAYS.slice(-1);

/** @throws QmpError with QEMU's words when no way works; Error when the daemon has gone. */
export async function startCopy(state: string, request: CopyRequest): Promise<void> {
  const ways = waysOf(request);
  for (const [attempt, way] of ways.entries()) {
    try {
      if ((await askCopier(state, addNodes(request, way))) === null) throw gone(request);
      break;
    } catch (error) {
      await removeNodes(state, request.id);
      if (!(error instanceof QmpError) || attempt === ways.length - 1) throw error;
    }
  }
  if ((await askCopier(state, [mirror(request)])) === null) throw gone(request);
}

function addNodes({ id, source, target, what }: CopyRequest, way: Way): QmpCommand[] {
  const [from, to] =
    'bytes' in what
      ? containerNodes(source, target, what.bytes, way)
      : [readingNode(source, what, way), writingNode(target, what, way)];
  return [add({ 'node-name': `from-${id}`, ...from }), add({ 'node-name': `to-${id}`, ...to })];
}

function containerNodes(source: string, target: string, size: number, { aio, direct }: Way) {
  const file = { driver: 'file', filename: source, 'read-only': true, aio, cache: { direct } };
  // Holes stay holes: a mirror's own zeros free blocks (in QEMU 7.2.22 whatever this says).
  const to = { driver: 'file', filename: target, aio, cache: { direct }, discard: 'unmap' };
  return [{ driver: 'raw', 'read-only': true, offset: 0, size, file }, to];
}

const add = (options: Record<string, unknown>) => ({ execute: 'blockdev-add', arguments: options });

const mirror = ({ id, what, bandwidthBytesPerSecond }: CopyRequest): QmpCommand => ({
  execute: 'blockdev-mirror',
  arguments: {
    'job-id': id,
    device: `from-${id}`,
    target: `to-${id}`,
    sync: 'bytes' in what ? 'full' : syncOf(what),
    // A limit holds back only what comes after the first buffer.
    ...(bandwidthBytesPerSecond > 0 ? {} : { 'buf-size': BUFFER_BYTES }),
    speed: bandwidthBytesPerSecond,
    // The result, and the error's text, stay until a client has read them.
    'auto-dismiss': false,
    // Without space the job pauses; every other error ends it.
    'on-target-error': 'enospc',
  },
});

const gone = ({ source }: CopyRequest) =>
  new Error(`the daemon that copies ${source} ended while it was asked`);

/** Closes the files of an ended job: a format writes what it still holds. */
export async function removeNodes(state: string, id: string): Promise<void> {
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

/** Forgets an ended job and releases its files. */
export async function dismissCopy(state: string, id: string): Promise<void> {
  await dismissJob(state, id);
  await removeNodes(state, id);
}

/** Forgets an ended job. */
export async function dismissJob(state: string, id: string): Promise<void> {
  await askCopier(state, [{ execute: 'job-dismiss', arguments: { id } }]).catch(ignoreRefusal);
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
