/**
 * The pages of an operation in the Web UI: what was asked, what is it doing, since when, what
 * happens if I cancel. Pure.
 */
import { WHOLE_VM, type CommonStatus } from './contract.ts';
import { inLine } from './words.ts';
import type { AnyKind, CommonRequest, Row } from './kind.ts';
import { shell } from './names.ts';

/**
 * Words of others are among ours: names may hold links, images and markup, which are shown as they
 * are written. What is code is shown so anyhow.
 */
const cell = (text: string) =>
  inLine(text.replaceAll('\n', ' '))
    .replace(CODE_OR_MARKUP, (found, ticks?: string) => (ticks ? code(found, ticks) : `\\${found}`))
    .replaceAll('|', '\\|');
/**
 * The Web UI shows the backslash before a bar that is code, so the code ends there. Not where it
 * has backticks inside: a part that ends with one would not end where it seems to.
 */
const code = (found: string, ticks: string) => {
  const inside = found.slice(ticks.length, -ticks.length);
  if (!inside.includes('|') || inside.includes('`')) return found;
  const parts = inside.split('|');
  return parts.map((part) => (part === '' ? '' : `${ticks}${part}${ticks}`)).join('|');
};
const CODE_OR_MARKUP = /(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|[[\]<>!&]/g;
const time = (iso: string) => `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;

/** A markdown table. Rows without a value are left out. */
function table([first, second]: readonly [string, string], rows: readonly Row[]): string {
  const title = `| ${cell(first)} | ${cell(second)} |`;
  const lines = rows.flatMap(([key, value]) => (value ? [`| ${key} | ${cell(value)} |`] : []));
  return [title, '|---|---|', ...lines].join('\n');
}

/** What it does and how far it is: the part of the page that changes. */
export function statusPage(kind: AnyKind, status: CommonStatus, id: string): string {
  const { operation, phase, host, since, away, stuck, note, cancel } = status;
  const isMeasured = (kind.measured as readonly string[]).includes(phase);
  return table(
    [nameOf(status), `${operation} on host ${host}`],
    [
      ['Phase', `**${phase}** since ${time(since)}`],
      ['Unavailable', away],
      ['Stuck', stuck],
      [phase === 'finished' ? 'Result' : 'Note', note],
      ['Progress', isMeasured ? progressWords(id) : null],
      ['Cancel now', cancel.possible ? `possible: ${cancel.meaning}` : cancel.meaning],
      ...kind.statusRows(status),
    ],
  );
}

const nameOf = ({ vm, disk }: CommonStatus) => (disk === WHOLE_VM ? vm : `${vm}/${disk}`);

/** The figures change too often for the history of a workflow. */
const progressWords = (id: string) =>
  `percent and rate are on the page Pending Activities, and in ${shell`blockflow status ${id}`}`;

/** What was asked for: the part of the page that never changes. */
export function requestPage(kind: AnyKind, request: CommonRequest, of: string = kind.of): string {
  return table(
    [kind.type, `of ${of}`],
    [
      ['Request', `\`${kind.words(request)}\``],
      ['Host', request.host],
      ['Asked by', request.requestedBy],
      ...kind.requestRows(request),
      ['To cancel', `${shell`blockflow cancel ${kind.id(request)}`}, or Request Cancellation here`],
    ],
  );
}
