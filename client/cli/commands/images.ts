import { Option, type Command } from 'commander';
import { usage } from '../../library/failure.ts';
import type { Blockflow } from '../../library/connect-blockflow.ts';
import type { SourceFormat } from '../arguments/image-argument.ts';
import { followStarted } from './started.ts';
import type { Screen } from '../screen.ts';
import {
  CONVERGE_OPTION,
  HOST_OPTION,
  JSON_OPTION,
  MAX_PAUSE_OPTION,
  printJson,
  withBlockflow,
  type Context,
} from './command.ts';

export interface Options {
  to: string;
  name?: string;
  bandwidth?: string;
  verify: 'full' | 'none';
  format: 'keep' | 'qcow2' | 'raw';
  preallocation: 'off' | 'metadata' | 'falloc' | 'full';
  flatten?: true;
  ifExists: 'refuse';
  maxPause?: string;
  wipe?: true;
  waitForDecision?: true;
  synchronousWrites?: true;
  converge?: true;
  onVmStop?: 'fail' | 'continue';
  sourceFormat?: SourceFormat;
  dryRun?: true;
  detach?: true;
  json?: true;
  host?: string;
}

const IMAGE =
  'VM (all its disks) or VM/DISK; POOL/VOLUME (its active layer) for a standalone image';

const SYNCHRONOUS_OPTION = [
  '--synchronous-writes',
  'of a running VM: a write of the guest ends once its copy is written, too',
] as const;

export function defineMove(program: Command, context: Context): void {
  transfer(program.command('move'))
    .summary("move a disk with its snapshots to another pool, and the VM's record with it")
    .description(
      'Copies every volume of an image, compares the copies, switches the VM to them, and leaves ' +
        'the deletion of the source to a workflow of its own, which it names at its end. A VM ' +
        'that is down is held meanwhile. Of one that runs, QEMU mirrors the active layer, which ' +
        'is not compared, and the guest is suspended for the switch. Several disks, or all of a ' +
        'VM, switch within one suspension.',
    )
    .option('--wipe', 'overwrite the source before it is deleted')
    .option(
      '--wait-for-decision',
      'of a running VM: mirror until READY, then wait for `blockflow decide VM [DISK] pivot|keep`',
    )
    .addOption(
      new Option('--on-vm-stop <action>', 'when the VM stops before the switch')
        .choices(['fail', 'continue'])
        .default('fail'),
    )
    .option(...CONVERGE_OPTION)
    .option(...SYNCHRONOUS_OPTION)
    .action((first: string, disks: string[], options: Options) =>
      context.run(() => runEither(context.screen, { first, disks, verb: 'move' }, options)),
    );
}

export function defineCopy(program: Command, context: Context): void {
  transfer(program.command('copy'))
    .summary('copy a disk with its snapshots to a pool; no record is touched')
    .description(
      "Copies every volume of an image; the copy's chain refers only to the copy. A shared image " +
        '(a template) can be copied too. Without a disk, or with several, the disks of a VM are ' +
        'copied as they are at one moment, also while it runs.',
    )
    .option('--name <name>', 'NAME for the active layer; NAME.1, NAME.2, ... from the base up')
    .option(...CONVERGE_OPTION)
    .option(...SYNCHRONOUS_OPTION)
    .action((first: string, disks: string[], options: Options) =>
      context.run(() => runEither(context.screen, { first, disks, verb: 'copy' }, options)),
    );
}

export function defineRm(program: Command, context: Context): void {
  const command = program
    .command('rm')
    .summary('delete an image with all its volumes, unless anything refers to it')
    .description(
      'Refused while a VM, a snapshot of libvirt or another chain names its active layer, or a ' +
        'process has a volume of it open. What they name below it stays, with all that it ' +
        'stands on. No record is touched.',
    )
    .argument('<POOL/VOLUME>', 'the image, by its active layer')
    .option('--wipe', 'overwrite what was written before it is deleted');
  running(command).action((name: string, options: Options) =>
    context.run(() => remove(context.screen, name, options)),
  );
}

const transfer = (command: Command) =>
  running(
    command
      .argument('<VM|POOL/VOLUME>', IMAGE)
      .argument('[DISK...]', 'targets such as vda; several switch together')
      .requiredOption('--to <pool>', 'pool to copy to')
      .option(
        '--bandwidth <rate>',
        'limit: MiB/s, or with a unit (512K, 200M, 1G); `blockflow bandwidth` changes it',
      )
      .addOption(
        new Option('--verify <how>', 'compare the copies with the source')
          .choices(['full', 'none'])
          .default('full'),
      )
      .option('--flatten', 'one volume in the target instead of the chain')
      .addOption(
        new Option(
          '--format <format>',
          'of the copy; another one needs an image of one volume, or --flatten',
        )
          .choices(['keep', 'qcow2', 'raw'])
          .default('keep'),
      )
      .addOption(
        new Option('--preallocation <how>', 'space that the copy takes at once, as in qemu-img')
          .choices(['off', 'metadata', 'falloc', 'full'])
          .default('off'),
      )
      .addOption(
        new Option('--if-exists <what>', 'when a name is taken in the pool: no file is replaced')
          .choices(['refuse'])
          .default('refuse'),
      )
      .option(...MAX_PAUSE_OPTION),
  );

const running = (command: Command) =>
  command
    .addOption(
      new Option(
        '--source-format <format>',
        'of POOL/VOLUME (default: by the end of its name: .qcow2, .raw, .img)',
      ).choices(['qcow2', 'raw']),
    )
    .option('--dry-run', 'print what would happen, touch nothing')
    .option('--detach', 'start and return at once')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION);

/** Of one image, or of several disks of a VM. */
async function runEither(
  screen: Screen,
  { first, disks, verb }: { first: string; disks: string[]; verb: 'move' | 'copy' },
  options: Options,
): Promise<number> {
  const isOne = disks.length === 1 || (disks.length === 0 && first.includes('/'));
  if (isOne) return runTransfer(screen, [first, disks[0]], options, verb);
  const { runDisks } = await import('./several-disks.ts');
  return runDisks(screen, { vm: first, disks, verb }, options);
}

async function runTransfer(
  screen: Screen,
  [first, second]: [string, string | undefined],
  options: Options,
  verb: 'move' | 'copy',
): Promise<number> {
  if (verb === 'copy') assertStill(first, options);
  const { parseImage } = await import('../arguments/image-argument.ts');
  const { parseRate } = await import('../arguments/rate.ts');
  const { parsePause } = await import('../arguments/duration.ts');
  const { imageId } = await import('../../../workflows/chain/references.ts');
  const { to, verify, bandwidth, name, host } = options;
  const { format, preallocation, ifExists, flatten = false } = options;
  const request = {
    image: parseImage(first, second, options.sourceFormat),
    to,
    verify,
    format,
    preallocation,
    flatten,
    ifExists,
    ...(bandwidth === undefined ? {} : { bandwidthBytesPerSecond: parseRate(bandwidth) }),
    ...(host === undefined ? {} : { host }),
  };
  const { wipe = false, waitForDecision = false, synchronousWrites = false } = options;
  const { converge = false, onVmStop = 'fail', maxPause } = options;
  const pause = maxPause === undefined ? {} : { maxPauseMs: parsePause(maxPause) };
  const move = {
    ...request,
    wipe,
    waitForDecision,
    synchronousWrites,
    converge,
    onVmStop,
    ...pause,
  };
  const copy = { ...request, ...(name === undefined ? {} : { name }) };
  return withBlockflow(options, async (blockflow) => {
    if (!options.dryRun) {
      const start = verb === 'move' ? blockflow.move(move) : blockflow.copy(copy);
      return followStarted(screen, await start, options);
    }
    const plan = verb === 'move' ? blockflow.planMove(move) : blockflow.planCopy(copy);
    const outcome = await plan;
    const { transferPlanLines } = await import('../render/image-plan.ts');
    const asked = { verb, id: imageId(move.image), verify, wipe, waitForDecision };
    return printPlan(screen, outcome, transferPlanLines(outcome, asked), options);
  });
}

/** @throws BlockflowError Usage for what is of a VM that runs: a copy of one disk is of none */
function assertStill(id: string, { converge, maxPause, synchronousWrites }: Options): void {
  const given = [
    ...(converge ? ['--converge'] : []),
    ...(maxPause === undefined ? [] : ['--max-pause']),
    ...(synchronousWrites ? ['--synchronous-writes'] : []),
  ];
  if (given.length === 0) return;
  const now = `${given.join(' and ')} is for a running VM, and one disk is copied while it is down`;
  throw usage(
    `reading the copy of ${id}`,
    now,
    'Leave it out, or copy all disks: name the VM only',
  );
}

async function remove(screen: Screen, name: string, options: Options): Promise<number> {
  const { parseVolume } = await import('../arguments/image-argument.ts');
  const { host, wipe } = options;
  const image = parseVolume(name, options.sourceFormat);
  const request = { ...image, wipe: wipe ?? false, ...(host === undefined ? {} : { host }) };
  return withBlockflow(options, async (blockflow: Blockflow) => {
    if (!options.dryRun) return followStarted(screen, await blockflow.remove(request), options);
    const plan = await blockflow.planRemoval(request);
    const { removalPlanLines } = await import('../render/image-plan.ts');
    const asked = { id: `${image.pool}/${image.volume}`, wipe: request.wipe };
    return printPlan(screen, plan, removalPlanLines(plan, asked), options);
  });
}

export function printPlan(
  screen: Screen,
  plan: object,
  lines: readonly string[],
  options: Pick<Options, 'json'>,
): number {
  if (options.json) printJson(screen, { outcome: 'planned', ...plan, exitCode: 0 });
  else for (const line of lines) screen.print(line);
  return 0;
}
