/**
 * What a person at night finds in the Web UI: during a merge and a move, after them, and after a
 * merge that failed.
 */
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Operation, TransferResult } from '../../client/index.ts';
import { connectTo } from '../support/host/roles/blockflow-client.ts';
import {
  defineOff,
  diskOf,
  inVault,
  startMoveSystem,
  VAULT,
} from '../support/scenes/transfer/move-scene.ts';
import { startScene, type Scene } from '../support/scenes/merge-scene.ts';
import { waitUntil } from '../support/wait-until.ts';
import { openWebUi } from './browser.ts';
import { useSystem } from '../support/scenes/use-system.ts';
import { use } from '../support/use.ts';

const MIB = 2 ** 20;
const SLOW_BYTES_PER_SECOND = 65536;
const system = useSystem(() => startMoveSystem({ name: 'web' }));
const ui = use('the Web UI', () => openWebUi(system.temporal.uiUrl, system.host.root));
const blockflow = use('the client', () => connectTo(system));
let running: Scene;
let stopping: Scene;
let held: Operation;
let doomed: Operation;

beforeAll(async () => {
  // The guest writes into two clusters a round, so that a slow copy becomes READY in the end.
  const guest = { slots: 16, writesPerSecond: 40 };
  [running, stopping] = await Promise.all([
    startScene({ system, vm: 'web1', guest }),
    startScene({ system, vm: 'web2', guest }),
  ]);
  const slow = { disk: 'vda', bandwidthBytesPerSecond: SLOW_BYTES_PER_SECOND };
  held = await blockflow.merge({ vm: 'web1', ...slow, waitForDecision: true });
  doomed = await blockflow.merge({ vm: 'web2', ...slow });
  for await (const { status } of held.progress()) if (status?.phase === 'copying') break;
}, 180_000);

const pageOf = ({ id, runId }: Pick<Operation, 'id' | 'runId'>, page: string) =>
  `workflows/${encodeURIComponent(id)}/${runId}/${page}`;
const listWhere = (query: string) => `workflows?query=${encodeURIComponent(query)}`;

describe('the Web UI during a merge', () => {
  it('lists it by its disk, type, and search attributes', async () => {
    const query = 'BlockflowVm="web1" AND BlockflowDisk="vda" AND BlockflowPhase="copying"';
    await ui.expect(listWhere(query), 'web1/vda', 'LiveMerge', '1 Running');
    await ui.expect(
      pageOf(held, 'search-attributes'),
      '"BlockflowVm": "web1"',
      '"BlockflowDisk": "vda"',
      '"BlockflowHost": "h1"',
      '"BlockflowOperation": "LiveMerge"',
      '"BlockflowPhase": "copying"',
    );
  });

  it('tells in one line and two tables what it is, does, and what a cancel means', async () => {
    const text = await ui.expect(
      pageOf(held, 'user-metadata'),
      'merge web1 vda on h1',
      'blockflow cancel web1/vda',
      'LiveMerge on host h1',
      'copying since',
      'web1.qcow2 ← web1-snap1.qcow2',
      'percent and rate are on the page Pending Activities',
      'possible: the job is ended, the chain stays as it is, nothing is left behind',
    );
    // A table that did not become one still has its bars.
    expect(text).not.toContain('|---|');
    expect(text).toMatch(/Chain wanted\s+web1\.qcow2\n/);
    expect(text).toMatch(/Limit\s+64\.0 KiB\/s/);
  });

  it('shows its steps in words, and the progress of the one that runs', async () => {
    await ui.expect(
      pageOf(held, 'timeline'),
      'plan the merge of web1/vda',
      'record the job in the domain, commit 1 volume into web1.qcow2',
      'copy into web1.qcow2 until both hold the same',
    );
    await ui.expect(
      pageOf(held, 'pending-activities'),
      'awaitCommitReady',
      '"percent":',
      '"rateBytes',
    );
  });

  it('answers the described status query', async () => {
    await ui.expect(pageOf(held, 'query'), 'Query Type', 'Run Query');
    await ui.click('', '[data-testid=query-select-button]');
    await ui.shows('Phase, chain, and what happens if one cancels now');
    await ui.click('status', '[role=option]');
    await ui.click('Run Query');
    await ui.shows('"phase": "copying"', '"committedBytes":');
  });

  it('offers the described updates', async () => {
    await ui.expect(pageOf(held, 'timeline'), 'More Actions');
    await ui.click('More Actions');
    await ui.click('Send an Update');
    await ui.click('', '[data-testid=update-select-button]');
    await ui.shows(
      'bandwidth\nLimit of the running copy in bytes per second, 0 for none',
      'decide\npivot or keep: ends the wait of --wait-for-decision',
    );
  });
});

describe('the Web UI at READY', () => {
  it('says which commands choose, as they are typed', async () => {
    await held.setBandwidth(0);
    const words = 'say blockflow decide web1/vda pivot|keep';
    await ui.expect(pageOf(held, 'user-metadata'), 'waiting for a decision', words);
  });
});

describe('the Web UI after a merge', () => {
  it('shows what was reached, and that it is over', async () => {
    await held.decide('pivot');
    const { summary } = await held.result();
    await ui.expect(pageOf(held, 'user-metadata'), summary, 'finished since', 'it is over');
    await ui.expect(
      pageOf(held, 'timeline'),
      'Completed',
      '"outcome": "merged"',
      'pivot to web1.qcow2: suspend, pivot, verify, resume',
      'prove the chain in all views, unused',
      'delete 1 volume of pool images',
    );
    await ui.expect(pageOf(held, 'history'), 'write the audit log');
    await ui.expect(listWhere('BlockflowOutcome="merged"'), 'web1/vda', 'Completed');
    expect(await running.files()).not.toContain('web1-snap1.qcow2');
  });
});

describe('the Web UI after a failure', () => {
  it('says that the VM stopped, what is true now, and what to do', async () => {
    await stopping.guest.kill();
    const error = await doomed.result().then(
      () => new Error('it did not fail'),
      (failure: Error) => failure,
    );
    expect(error.message).toContain('the VM stopped');
    await ui.expect(pageOf(doomed, 'timeline'), 'Failed', 'the VM stopped', 'Repeat the request');
    await ui.expect(
      pageOf(doomed, 'user-metadata'),
      'finished since',
      'the chain is unchanged, no flushed write is lost',
    );
    await ui.expect(listWhere('BlockflowOutcome="failed"'), 'web2/vda', 'Failed');
  });

  it('says why a request was refused', async () => {
    const refused = await blockflow.merge({ vm: 'absent', disk: 'vda' });
    await expect(refused.result()).rejects.toThrow();
    await ui.expect(
      pageOf(refused, 'timeline'),
      'Failed',
      'libvirt knows no VM of that name there',
    );
    await ui.expect(pageOf(refused, 'user-metadata'), 'finished since', 'Result');
    await ui.expect(listWhere('BlockflowOutcome="refused"'), 'absent/vda');
  });
});

/** The line of words of its source's removal, also in the move's own timeline. */
const LEFT = 'delete the source that web3/vda has left: images/web3.qcow2, overwritten first';

describe('the Web UI of a move', () => {
  let move: Operation<TransferResult>;
  let file: string;

  it('lists it as copying, and tells what is copied where, and what a cancel means', async () => {
    file = await defineOff(system, 'web3', { bytes: 24 * MIB });
    const request = { to: VAULT, bandwidthBytesPerSecond: SLOW_BYTES_PER_SECOND, wipe: true };
    move = await blockflow.move({ image: diskOf('web3'), ...request });
    // The page of a list looks once, and Temporal's list is about a second behind.
    await waitUntil('the list to say so', async () => {
      const [listed] = await blockflow.list({ vm: 'web3', state: 'running' });
      return listed?.phase === 'copying';
    });
    await ui.expect(listWhere('BlockflowVm="web3" AND BlockflowPhase="copying"'), '1 Running');
    const text = await ui.expect(
      pageOf(move, 'user-metadata'),
      ...['move web3/vda --to vault --wipe', 'blockflow cancel web3/vda'],
      ...['MoveImage on host h1', 'copying since', inVault(system, file)],
      'percent and rate are on the page Pending Activities',
      'possible: the source stays as it is, a workflow of its own deletes the copies',
    );
    expect(text).not.toContain('|---|');
    expect(text).toMatch(/Limit\s+64\.0 KiB\/s/);
    await ui.expect(pageOf(move, 'pending-activities'), 'ensureVolumeCopied', '"percent":');
  });

  it('shows its copy, comparison, switch and deletion, and that it is over', async () => {
    await move.setBandwidth(0);
    const { summary } = await move.result();
    await ui.expect(
      pageOf(move, 'timeline'),
      ...['Completed', '"outcome": "moved"', `copy ${file}, `],
      ...['hold the source against writes', `compare ${file} with its copy`],
      ...['give the copies their names', 'switch the record of web3/vda to pool vault'],
      ...['release the source and the copies', LEFT],
    );
    await ui.expect(pageOf(move, 'user-metadata'), summary, 'finished since', 'it is over');
  });

  it('shows the deletion as a workflow of its own, with whose source it deletes', async () => {
    const { removal } = await move.result();
    const [first = '', ...rest] = removal?.split('/') ?? [];
    const deletion = await blockflow.operation(first, rest.join('/'));
    const { summary } = (await deletion.result()) as { summary: string };
    const listed = listWhere('BlockflowVm="images" AND BlockflowOutcome="removed"');
    await ui.expect(listed, deletion.id, 'RemoveImage', 'Completed');
    const text = await ui.expect(
      pageOf(deletion, 'user-metadata'),
      ...[LEFT, 'rm images/web3.qcow2 --wipe', `blockflow cancel ${deletion.id}`, summary],
    );
    expect(text).not.toContain('|---|');
    const steps = ['overwrite 1 volume(s) of pool images', 'delete 1 volume(s) of pool images'];
    await ui.expect(pageOf(deletion, 'timeline'), 'prove that nothing refers to', ...steps);
  });
});
