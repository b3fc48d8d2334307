/** How long the answers of the command line take, each a process of its own, as a user has it. */
import { execa } from 'execa';
import { commandLine, environmentOf } from '../support/host/roles/command-line.ts';
import { SLOW, untilCopying } from '../support/scenes/copying.ts';
import { startScene } from '../support/scenes/merge-scene.ts';
import { timed } from './measuring.ts';
import { median, ms, percentile, type Row } from './figures.ts';

const GOAL_MS = 300;

export async function commands(quick: boolean): Promise<Row[]> {
  const scene = await startScene({ onDisk: true });
  const { system, guest } = scene;
  try {
    const merge = await system.merge({
      vm: guest.name,
      disk: 'vda',
      bandwidthBytesPerSecond: SLOW,
    });
    await untilCopying(scene);
    const type = commandLine(environmentOf(system));
    const ours = {
      '--help': ['--help'],
      list: ['list'],
      status: ['status', guest.name, 'vda'],
      chain: ['chain', guest.name, 'vda'],
    };
    const rows: Row[] = [];
    for (const [name, args] of Object.entries(ours)) {
      const theirs = name === '--help' ? ['--help'] : ['domblkinfo', guest.name, 'vda'];
      const [blockflow, virsh]: [number[], number[]] = [[], []];
      for (let i = 0; i < (quick ? 3 : 15); i++) {
        blockflow.push(
          await timed(async () => {
            const { exitCode, told } = await type(...args);
            if (exitCode !== 0) throw new Error(`blockflow ${args.join(' ')}: ${told}`);
          }),
        );
        virsh.push(await timed(() => execa('virsh', ['-c', system.host.uri, ...theirs])));
      }
      rows.push(toRow(name, `virsh ${theirs[0] ?? ''}`, blockflow, virsh));
    }
    await merge.executeUpdate('bandwidth', { args: [0] });
    await merge.result();
    return rows;
  } finally {
    await scene.close();
  }
}

function toRow(name: string, other: string, ours: number[], theirs: number[]): Row {
  const p50 = median(ours);
  return {
    what: `blockflow ${name}`,
    measured:
      `median ${ms(p50)}, p99 ${ms(percentile(ours, 99))}, ${other} ${ms(median(theirs))}, ` +
      `n=${ours.length}`,
    goal: `median at most ${GOAL_MS} ms`,
    met: p50 <= GOAL_MS,
  };
}
