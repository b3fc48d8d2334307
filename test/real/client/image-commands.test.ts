/** What a person types about images, and reads: move, copy, rm, and the commands about them. */
import { basename, join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  commandLine,
  environmentOf,
  type Answer,
  type Typed,
} from '../../support/host/roles/command-line.ts';
import { exitsWith, says } from '../../support/host/roles/says.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  defineOff,
  digests,
  expectNothingLeft,
  expectOnlySource,
  inVault,
  plainVolume,
  recordOf,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const MIB = 2 ** 20;
let blockflow: Typed;

const system = useSystem(() => startMoveSystem({ name: 'image-commands' }));
beforeAll(() => {
  blockflow = commandLine(environmentOf(system));
});

const filesIn = (pool: string) => poolFiles(join(system.host.pools, pool));
const here = async () => [await filesIn(POOL), await filesIn(VAULT)];
const parsed = async (answer: Promise<string>) => JSON.parse(await answer) as unknown;

/** An operation that is refused has shown before how it was planned. */
async function refuses(answer: Promise<Answer>, code: string, ...words: (string | RegExp)[]) {
  const end = await answer;
  exitsWith(end, 3);
  const { printed, told } = end;
  // A refusal may come before the first look at its progress.
  expect(printed).toMatch(/^(\d\d:\d\d:\d\d \S+ planning)?$/);
  expect(told).toMatch(`Refused, nothing was done (${code})\n`);
  for (const word of words) expect(told).toMatch(word);
}

/** Types it until the list, which is about a second behind, says so. */
const untilListed = (image: string, words: RegExp) =>
  waitUntil(`the list of ${image}`, async () => {
    const { printed } = await blockflow('list', image);
    return words.test(printed) && printed;
  });

/** Of a test that failed in the middle nothing is left that the next one would meet. */
async function endOf(operationId: string): Promise<void> {
  const operation = system.client.workflow.getHandle(operationId);
  if ((await operation.describe()).status.name !== 'RUNNING') return;
  await operation.cancel();
  await operation.result().catch(() => undefined);
  await expectNothingLeft(system, []);
}

describe('a move under way', () => {
  afterEach(() => endOf('web2/vda'));

  it('is limited, shown, refused to others and cancelled while it runs', async () => {
    const file = await defineOff(system, 'web2', { bytes: 24 * MIB });
    const before = await digests([file]);
    // So slow that no number of commands takes as long as what is left after QEMU's first 16 MiB.
    const request = ['move', 'web2/vda', '--to', VAULT, '--bandwidth', '16K', '--detach'];
    await says(blockflow(...request), 0, 'web2/vda has started: blockflow status web2/vda');
    await says(blockflow(...request), 0, 'web2/vda runs already');
    await untilListed('web2', /web2\/vda +MoveImage +h1 +copying +\d/);
    await says(blockflow('bandwidth', 'web2', 'vda', '32K'), 0, 'web2/vda: 32.0 KiB/s');
    await says(
      blockflow('status', 'web2'),
      0,
      'web2/vda  MoveImage  copying',
      /progress +\d+\.\d %, .* of \d+\.\d MiB, .*\/s(, .* left)?\n/,
      /cancel +possible: the source stays as it is/,
      /limit +32.0 KiB\/s/,
    );
    const other = blockflow('move', 'web2', 'vda', '--to', VAULT, '--verify', 'none');
    await says(
      other,
      3,
      'Refused, nothing was done (other-operation)',
      'another operation runs on web2/vda: move web2/vda --to vault on h1 (copying ',
    );
    const cancelled = await parsed(says(blockflow('cancel', 'web2/vda', '--json'), 0));
    expect(cancelled).toMatchObject({ outcome: 'cancelled', id: 'web2/vda', exitCode: 0 });
    await says(blockflow('events', 'web2'), 0, /cancelled .* web2\/vda on h1/);
    await expectOnlySource(system, { vm: 'web2', file, before });
  });
});

describe('move', () => {
  it('tells what it would do, does it, and names the deletion that goes on', async () => {
    const file = await defineOff(system, 'web1', { bytes: 3 * MIB });
    const request = ['move', 'web1', 'vda', '--to', VAULT];
    const [before, whole] = [await here(), await digests([file])];
    const plan = await says(
      blockflow(...request, '--dry-run', '--verify', 'none', '--wipe'),
      0,
      /^Move of web1\/vda to pool vault: 1 volume\(s\), \d\.\d MiB\n/,
      `copy      ${file} to ${inVault(system, file)}, `,
      /space +\d\.\d MiB needed, .* free\n/,
      `delete    ${file} (pool ${POOL}), `,
      '6. overwrite with zeros and delete the source, in a workflow of its own\n',
      'Nothing was touched (--dry-run).',
    );
    expect(plan).not.toContain('compare');
    const document = await parsed(says(blockflow(...request, '--dry-run', '--json'), 0));
    expect(document).toMatchObject({ outcome: 'planned', kind: 'plan', exitCode: 0 });
    expect([await here(), await digests([file])]).toEqual([before, whole]);

    const id = `${POOL}/web1.qcow2/removal`;
    const said = await says(
      blockflow(...request),
      0,
      /^Done: moved web1\/vda to pool vault: 1 volume\(s\), \d\.\d MiB; /m,
      `copy     ${inVault(system, file)}`,
    );
    expect(await digests([inVault(system, file)])).toEqual(whole);
    expect(await recordOf(system, 'web1')).toBe(inVault(system, file));
    const [, removal = ''] = /`blockflow status (.*)`/.exec(said) ?? [];
    const [, events = ''] = /`blockflow events (.*)`/.exec(said) ?? [];
    expect(removal).toMatch(new RegExp(`^${id}`));
    await says(blockflow('status', '--follow', removal), 0, /Done: removed /, `deleted  ${file}`);
    await says(
      blockflow('status', removal),
      0,
      `${removal}  RemoveImage  removed`,
      /result +removed/,
    );
    await says(blockflow('events', events), 0, new RegExp(`removed +${POOL}/web1.qcow2 on h1, `));
    const changed = `web1.qcow2  →  ${inVault(system, file)}`;
    await says(blockflow('events', 'web1'), 0, /started .* web1\/vda on h1/, removal, changed);
    await untilListed('web1', /web1\/vda +MoveImage +h1 +moved/);
    await untilListed(`${POOL}/web1.qcow2`, /RemoveImage +h1 +removed/);
    expect(await filesIn(POOL)).not.toContain(basename(file));
    await says(blockflow(...request), 0, 'web1/vda: already done, every volume of it is in pool');
  });

  it('is refused with a reason, and nothing is touched', async () => {
    const before = await here();
    const nowhere = blockflow('move', 'web2', 'vda', '--to', 'nowhere');
    await refuses(nowhere, 'unknown-pool', 'the active pools are images, vault', 'pool-start');
    const absent = await blockflow('move', 'absent/vda', '--to', VAULT, '--json');
    expect(JSON.parse(absent.printed)).toMatchObject({
      outcome: 'refused',
      type: 'Refused',
      code: 'unknown-vm',
      exitCode: 3,
    });
    expect(absent).toMatchObject({ exitCode: 3, told: '' });
    expect(await here()).toEqual(before);
  });
});

describe('copy and rm', () => {
  it('take standalone images, with and without a format in their names', async () => {
    await plainVolume(system, 'data', 'raw');
    const data = join(system.host.pools, POOL, 'data.raw');
    const root = join(system.host.pools, POOL, 'web1-root');
    await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', data, root]);
    const options = ['--to', VAULT, '--name', 'clone', '--verify', 'none'];
    const clone = ['copy', `${POOL}/data.raw`, ...options];
    await says(blockflow(...clone, '--dry-run'), 0, /^Copy of images\/data.raw to pool vault/);
    expect(await filesIn(VAULT)).not.toContain('clone.raw');
    const copied = await parsed(says(blockflow(...clone, '--json'), 0));
    const chainAfter = [join(system.host.pools, VAULT, 'clone.raw')];
    expect(copied).toMatchObject({ outcome: 'copied', verified: false, chainAfter, exitCode: 0 });
    await says(
      blockflow('move', `${POOL}/web1-root`, '--to', VAULT),
      2,
      'Say `images web1-root` for a disk of VM images',
      'add --source-format qcow2 or --source-format raw',
    );
    const move = ['move', `${POOL}/web1-root`, '--to', VAULT, '--source-format', 'qcow2', '--wipe'];
    const words = 'move images/web1-root --to vault --source-format qcow2 --wipe\n';
    await says(blockflow(...move), 0, 'Done: moved images/web1-root to pool vault');
    await says(blockflow('status', `${POOL}/web1-root`), 0, 'images/web1-root  MoveImage  moved');
    await says(blockflow('events', `${POOL}/web1-root`), 0, words);
    await untilListed(`${POOL}/web1-root`, /images\/web1-root +MoveImage +h1 +moved/);
    await waitUntil('the wipe', async () => !(await filesIn(POOL)).includes('web1-root'));
  });

  it('deletes what nothing refers to, and says what does', async () => {
    const data = [`${POOL}/data.raw`, '--wipe'];
    const file = join(system.host.pools, POOL, 'data.raw');
    await says(
      blockflow('rm', ...data, '--dry-run'),
      0,
      /^Removal of images\/data.raw: 1 volume\(s\), \d.\d MiB on the disk\n/,
      'overwrite its data with zeros and delete it',
    );
    expect(await filesIn(POOL)).toContain('data.raw');
    await says(blockflow('rm', ...data), 0, /Done: removed images\/data.raw: 1 vol/, file);
    expect(await filesIn(POOL)).not.toContain('data.raw');
    const used = /web1.qcow2 is used by VM web1; nothing was deleted/;
    await refuses(blockflow('rm', `${VAULT}/web1.qcow2`), 'volume-in-use', used, /detach it there/);
    const removed = await parsed(says(blockflow('rm', `${VAULT}/clone.raw`, '--json'), 0));
    expect(removed).toMatchObject({ outcome: 'removed', id: `${VAULT}/clone.raw`, exitCode: 0 });
    await says(blockflow('rm', VAULT), 2, 'it does not name a volume');
    await refuses(blockflow('rm', `${VAULT}/gone.raw`), 'unknown-volume');
    expect(await filesIn(VAULT)).toEqual(['web1-root', 'web1.qcow2']);
  });
});
