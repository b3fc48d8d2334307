/**
 * `npm run figures`: what the crash matrices and the seeded bugs have shown, as tables of
 * docs/proof/crash-matrix.md. They come from test/crash/ledger.jsonl, to which `npm run test:crash`
 * adds; nothing is run here.
 */
import { percentile } from '../bench/figures.ts';
import { compactLedger, type Seen } from '../support/faults/crash-ledger.ts';
import { writeMarked } from '../support/marked-text.ts';
import { strikes, victims, type Matrix } from '../support/faults/strike-list.ts';

function countRow(seen: readonly Seen[], matrix: Matrix, victim: string): string[] {
  const all = strikes[matrix].filter((strike) => strike.victim === victim).length;
  if (all === 0) return [];
  const run = seen.filter((found) => found.matrix === matrix && found.victim === victim);
  const failed = run.filter(({ passed }) => !passed).length;
  const passed = run.length - failed;
  return [`| ${matrix} | ${victim} | ${all} | ${run.length} | ${passed} | ${failed} |`];
}

function spread(values: readonly (number | null)[]): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return 'none measured';
  const [p50, p99, max] = [50, 99, 100].map((p) => Math.round(percentile(known, p)));
  return `median ${p50} ms, p99 ${p99} ms, longest ${max} ms, n=${known.length}`;
}

/** "Rule of three": with n runs and no loss, the chance of one is below 3/n at 95 %. */
function bound(runs: number): string {
  return runs === 0 ? 'no case was run' : `below ${(300 / runs).toFixed(2)} % a crash (95 %)`;
}

function text(seen: readonly Seen[]): string {
  const rows = (Object.keys(strikes) as Matrix[]).flatMap((matrix) =>
    victims.flatMap((victim) => countRow(seen, matrix, victim)),
  );
  const merges = seen.filter(({ matrix }) => matrix === 'merge');
  const dates = [...new Set(seen.map(({ date }) => date))].sort();
  const commits = new Set(seen.map(({ commit }) => commit)).size;
  const passed = merges.filter((found) => found.passed);
  const writes = passed.reduce((sum, { guestWrites }) => sum + guestWrites, 0);
  const implied = bound(passed.length);
  return [
    `Seen from ${dates[0] ?? '-'} to ${dates.at(-1) ?? '-'}, on ${commits} commit(s).`,
    '',
    '| matrix | victim | cases | run | passed | failed |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    `- Guest writes acknowledged in passed cases, and found: ${writes} (one lost fails the case).`,
    `- No loss in ${passed.length} crashes implies a chance of one ${implied}.`,
    `- From strike to end, merges: ${spread(merges.map((found) => found.recoveryMs))}.`,
    `- Guest's stall in them: ${spread(merges.map((found) => found.stallMs))}.`,
    ...victims.map((victim) => {
      const struck = merges.filter((found) => found.victim === victim);
      return `- Struck ${victim}, to the end: ${spread(struck.map((found) => found.recoveryMs))}.`;
    }),
  ].join('\n');
}

const table = text(await compactLedger());
process.stdout.write(`${table}\n`);
await writeMarked('figures', table);
