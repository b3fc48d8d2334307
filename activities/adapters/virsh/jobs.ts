/** virsh's block job commands. */
import { unexpected } from '../reply.ts';
import { guestStateOf, type GuestState } from './domains.ts';
import type { VirshConnection } from './connection.ts';

/**
 * What libvirt says of a running job; whether it is READY only the domain XML and the event say.
 */
export interface JobReading {
  /** libvirt's word, for example `Active Block Commit`. */
  type: string;
  copiedBytes: number;
  totalBytes: number;
  /** 0 is no limit. */
  bandwidthBytesPerSecond: number;
}

export function jobCommands(virsh: VirshConnection) {
  return {
    /** Null when no job runs: success, failure and cancel look alike here (H5). */
    blockJob: async (uuid: string, disk: string): Promise<JobReading | null> =>
      parseJob(await virsh.ask(`blockjob ${uuid} ${disk} --raw --bytes`)),
    /** The state and job of several disks in one question, in their order. */
    async blockJobs(disks: readonly { uuid: string; disk: string }[]): Promise<DiskReading[]> {
      const commands = disks.map(
        ({ uuid, disk }) => `echo @; domstate ${uuid}; blockjob ${uuid} ${disk} --raw --bytes`,
      );
      return parseJobs(await virsh.ask(commands.join('; ')), disks.length);
    },
    startCommit: (uuid: string, disk: string, args: readonly string[]) =>
      virsh.command('blockcommit', uuid, disk, ...args),
    /** A mirror into a file that is there; it ends with the VM. @param xml its `<disk>` */
    startMirror: (uuid: string, disk: string, xml: string, args: readonly string[]) =>
      virsh.feed(xml, (path) => [
        ...['blockcopy', uuid, disk, '--xml', path, '--reuse-external', '--transient-job'],
        ...args,
      ]),
    abortJob: (uuid: string, disk: string) => virsh.run('blockjob', uuid, disk, '--abort'),
    setJobBandwidth: (uuid: string, disk: string, bytesPerSecond: number) =>
      virsh.run('blockjob', uuid, disk, '--bytes', '--bandwidth', String(bytesPerSecond)),
  };
}

/** A disk's reading, or why it cannot be read. */
export type DiskReading = { state: GuestState; job: JobReading | null } | { reason: string };

/** One answer a disk, each after an `@`. */
export function parseJobs(text: string, disks: number): DiskReading[] {
  const answers = text.split('@').slice(1);
  if (answers.length === disks) return answers.map(parseReading);
  throw unexpected('virsh blockjob', `${answers.length} answers to ${disks} questions`, text);
}

function parseReading(text: string): DiskReading {
  const [state = '', ...rest] = text.trim().split('\n');
  if (/^error: failed to get domain/.test(state)) return { state: 'off', job: null };
  try {
    const guest = guestStateOf(state);
    // Of a VM that is down it says an error.
    return { state: guest, job: guest === 'off' ? null : parseJob(rest.join('\n')) };
  } catch (error) {
    return { reason: (error as Error).message };
  }
}

const FIELDS = ['type', 'bandwidth', 'cur', 'end'] as const;

/**
 * `blockjob --raw` prints nothing without a job. Half an answer is neither a job nor none.
 * @throws Retry `unexpected-reply`
 */
export function parseJob(text: string): JobReading | null {
  if (text.trim() === '') return null;
  const wrong = (why: string) => unexpected('virsh blockjob', why, text);
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const fields = lines.map((line) => /^\s*([\w-]+)=(.*)$/.exec(line)?.slice(1) ?? ['', '']);
  for (const name of FIELDS) {
    const found = fields.filter(([key]) => key === name).length;
    if (found !== 1) throw wrong(`it has ${found} lines of ${name}`);
  }
  if (fields.some(([key]) => key === '')) throw wrong('it has a line that is no field');
  const word = (name: string) => fields.find(([key]) => key === name)?.[1]?.trim() ?? '';
  const number = (name: string) => {
    const value = /^\d+$/.test(word(name)) ? Number(word(name)) : NaN;
    if (!Number.isSafeInteger(value)) throw wrong(`${name} is no number of bytes`);
    return value;
  };
  if (word('type') === '') throw wrong('the job has no type');
  return {
    type: word('type'),
    copiedBytes: number('cur'),
    totalBytes: number('end'),
    bandwidthBytesPerSecond: number('bandwidth'),
  };
}
