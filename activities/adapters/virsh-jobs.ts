/** virsh's block job commands. */
import type { BlockJob, GuestState } from '../../workflows/schemas.ts';
import { guestStateOf } from './virsh.ts';
import type { VirshConnection } from './virsh-connection.ts';

/**
 * What libvirt says of a running job; whether it is READY only the domain XML and the event say.
 */
export type JobReading = Omit<BlockJob, 'ready'>;

export function jobCommands(virsh: VirshConnection) {
  return {
    /** Null when no job runs: success, failure and cancel look alike here (H5). */
    blockJob: async (uuid: string, disk: string): Promise<JobReading | null> =>
      parseJob(await virsh.ask(`blockjob ${uuid} ${disk} --raw --bytes`)),
    /** The state and job of several disks in one question, in their order. */
    async blockJobs(
      disks: readonly { uuid: string; disk: string }[],
    ): Promise<{ state: GuestState; job: JobReading | null }[]> {
      const commands = disks.map(
        ({ uuid, disk }) => `echo @; domstate ${uuid}; blockjob ${uuid} ${disk} --raw --bytes`,
      );
      const answers = (await virsh.ask(commands.join('; '))).split('@').slice(1);
      return answers.map((text) => {
        const [state = '', ...rest] = text.trim().split('\n');
        return { state: guestStateOf(state), job: parseJob(rest.join('\n')) };
      });
    },
    startCommit: (uuid: string, disk: string, args: readonly string[]) =>
      virsh.command('blockcommit', uuid, disk, ...args),
    abortJob: (uuid: string, disk: string) => virsh.run('blockjob', uuid, disk, '--abort'),
    setJobBandwidth: (uuid: string, disk: string, bytesPerSecond: number) =>
      virsh.run('blockjob', uuid, disk, '--bytes', '--bandwidth', String(bytesPerSecond)),
  };
}

function parseJob(text: string): JobReading | null {
  const field = (name: string) => new RegExp(`${name}=(.*)`).exec(text)?.[1]?.trim();
  const type = field('type');
  if (!type) return null;
  return {
    type,
    copiedBytes: Number(field('cur') ?? 0),
    totalBytes: Number(field('end') ?? 0),
    bandwidthBytesPerSecond: Number(field('bandwidth') ?? 0),
  };
}
