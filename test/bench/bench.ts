/**
 * `npm run bench`: figures of merges and moves, paired in one run because machines are noisy.
 * Prints markdown tables; with `--write` also records the figures in docs/proof/bench.json, and
 * makes the tables of bench.md and the pictures from it. `--only NAME` runs one part, or those
 * whose names begin so (`moves`, `moves-raw`), `--quick` fewer repeats, `--draw` none. A part is
 * not judged when other processes use more than a tenth of the processor before or after it.
 */
import { parseArgs } from 'node:util';
import { clusterMerges } from './cluster-merges.ts';
import { cachedWorkflows } from './cached-workflows.ts';
import { againstVirsh } from './against-virsh.ts';
import { commands } from './commands.ts';
import { historyLength } from './history-length.ts';
import { fourLayers } from './four-layers.ts';
import { largeSites } from './large-sites.ts';
import { hungNeighbour } from './hung-neighbour.ts';
import { latencies } from './latencies.ts';
import { latencyInLiveMove } from './live/latency.ts';
import { liveMovesOf } from './live/moves.ts';
import { resumedLiveMove } from './live/resumed.ts';
import { liveStalls } from './live/stalls.ts';
import { manyMerges } from './many-merges.ts';
import { manyVms } from './many-vms.ts';
import { movesOf } from './moves.ts';
import { fleet } from './fleet/fleet.ts';
import { busyPercent, judged } from './others.ts';
import { overhead } from './overhead.ts';
import { drawAll } from './pictures.ts';
import { circumstances, readRecord, tablesOf, writeRecord, type Recorded } from './record.ts';
import { reflinkedMoves } from './reflinked-moves.ts';
import { restartedAgent } from './restarted-agent.ts';
import { resumedMove } from './resumed-move.ts';
import type { Row } from './figures.ts';
import { deletingSnapshots, takingSnapshots } from './snapshots.ts';
import { writeMarked } from '../support/marked-text.ts';
import { waitingOperations } from './waiting-operations.ts';

const parts: Record<string, (quick: boolean) => Promise<Row[]>> = {
  'against-virsh': againstVirsh,
  overhead,
  latencies,
  'restarted-agent': restartedAgent,
  commands,
  'hung-neighbour': hungNeighbour,
  'snapshots-taking': takingSnapshots,
  'snapshots-deleting': deletingSnapshots,
  'history-length': historyLength,
  'four-layers': fourLayers,
  'waiting-operations': waitingOperations,
  'many-merges': manyMerges,
  'many-vms': manyVms,
  fleet,
  'cached-workflows': cachedWorkflows,
  'moves-qcow2-full': movesOf('qcow2', 'full'),
  'moves-qcow2-sparse': movesOf('qcow2', 'sparse'),
  'moves-raw-full': movesOf('raw', 'full'),
  'moves-raw-sparse': movesOf('raw', 'sparse'),
  'moves-reflinked': reflinkedMoves,
  'moves-resumed': resumedMove,
  'live-full': liveMovesOf('full'),
  'live-sparse': liveMovesOf('sparse'),
  'live-chain': liveMovesOf('chain'),
  'live-latency': latencyInLiveMove,
  'live-stalls': liveStalls,
  'live-resumed': resumedLiveMove,
  'large-sites': largeSites,
};

/** Run by their names only: they need what `npm run test:cluster` installs. */
const apart: typeof parts = { cluster: clusterMerges };

const { quick, only, draw, write } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    draw: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
}).values;
const isWanted = (name: string) => only === undefined || `${name}-`.startsWith(`${only}-`);
if (![...Object.keys(parts), ...Object.keys(apart)].some(isWanted)) {
  throw new Error(`no part is named ${only}: ${Object.keys({ ...parts, ...apart }).join(', ')}`);
}
const measured: Recorded = {};
const wanted = draw ? {} : only !== undefined && only in apart ? apart : parts;
const here = await circumstances(quick);
for (const [name, part] of Object.entries(wanted)) {
  if (!isWanted(name)) continue;
  process.stderr.write(`bench: ${name} ...\n`);
  const before = await busyPercent();
  const rows = await part(quick);
  const others = Math.max(before, await busyPercent());
  measured[name] = { ...here, others, rows: judged(rows, others) };
}
process.stdout.write(`${tablesOf(measured)}\n`);
if (draw || write) {
  const known = { ...(await readRecord()), ...measured };
  const names = [...Object.keys(parts), ...Object.keys(apart)].filter((name) => name in known);
  const recorded = Object.fromEntries(names.map((name) => [name, known[name]])) as Recorded;
  await writeRecord(recorded);
  const images = (await drawAll(recorded)).map((name) => `![${name}](${name}.svg)`);
  await writeMarked('bench', [tablesOf(recorded), ...images].join('\n\n'));
}
process.exit(0);
