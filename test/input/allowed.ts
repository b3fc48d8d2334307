/**
 * What may come through a contract, said a second time and without zod: by the name of a field,
 * what its value must never be.
 */
const CONTROL = /[\p{Cc}\p{Cs}\uFFFE\uFFFF]/u;

/** Words that only people read. */
const FREE = new Set(['reason', 'before', 'after', 'request', 'who', 'operation', 'workflowId']);
const ALSO_FREE = new Set(['internalSnapshots', 'note', 'now', 'time', 'warnings']);

type Rule = (text: string) => boolean;
const isPath: Rule = (text) =>
  text.startsWith('/') && text.length > 1 && text.slice(1).split('/').every(isName);
const isName: Rule = (text) => !['', '.', '..'].includes(text) && !text.includes('/');
const isWord: Rule = (text) => text !== '' && !text.startsWith('-') && !text.includes('/');
const isUuid: Rule = (text) => text.length === 36 && /^[0-9a-f-]*$/i.test(text);

const RULES: Record<string, Rule> = {
  path: isPath,
  folder: isPath,
  jobId: isUuid,
  uuid: isUuid,
  vmUuid: isUuid,
  leftovers: isUuid,
  vm: isWord,
  to: isWord,
  host: isWord,
  identity: (text) => /^\d+:\d+$/.test(text),
  modifiedNs: (text) => /^\d+$/.test(text),
};

/** Of a snapshot, which others may have named: libvirt allows a leading dash. */
const isSnapshot: Rule = (text) => text !== '' && !text.includes('/');
const ruleOf = (key: string, place: readonly string[]) =>
  place.includes('current') ? isSnapshot : RULES[key];

/** The values in it that should not be there, by their place. */
export function notAllowed(value: unknown, place: readonly string[] = []): string[] {
  const key = place.findLast((part) => !/^\d+$/.test(part)) ?? '';
  const at = place.join('.');
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && value >= 0 ? [] : [`${at} is ${value}`];
  }
  if (typeof value === 'string') {
    if (FREE.has(key) || ALSO_FREE.has(key)) return [];
    const good =
      !CONTROL.test(value) && value.length <= 4096 && (ruleOf(key, place)?.(value) ?? true);
    return good ? [] : [`${at} is ${JSON.stringify(value.slice(0, 80))}`];
  }
  if (typeof value !== 'object' || value === null) return [];
  const odd = Object.getPrototypeOf(value) !== Object.prototype && !Array.isArray(value);
  return [
    ...(odd ? [`${at} has another prototype`] : []),
    ...Object.entries(value).flatMap(([name, inner]) => notAllowed(inner, [...place, name])),
    ...namesOf(value as Record<string, unknown>).map((fault) => `${at}.${fault}`),
  ];
}

/** Fields of one name that mean another thing in another place. */
function namesOf(value: Record<string, unknown>): string[] {
  const { name, rebase, phase, top, base } = value;
  const faults: string[] = [];
  const { volume } = value;
  // What a move or a copy leaves has whatever name it had.
  const isLeft = Boolean(value['left'] ?? value['copies']) || 'isUsed' in value;
  const isAllowed = isLeft ? isName : isWord;
  if (typeof volume === 'string' && !isAllowed(volume)) faults.push('volume');
  if ('modifiedNs' in value && !isName(String(name))) faults.push('name');
  const backing = (rebase as { name?: string } | null | undefined)?.name;
  if (backing !== undefined && /^$|^[^/]*:/.test(backing)) faults.push('rebase.name');
  // Of a record: the request's own top and base may be names.
  if (phase !== undefined && typeof top === 'string' && !(isPath(top) && isPath(String(base)))) {
    faults.push('top or base');
  }
  return faults;
}
