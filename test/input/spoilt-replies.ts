/** One reply, spoilt in one way. */
import type { Chance } from './hostile.ts';

const PIECES = [
  ...['', '\0', '\n', '<', '>', '&x;', '&#233;', ']]>', '<!DOCTYPE a [<!ENTITY x "y">]>', '"', "'"],
  ...['{', '}', '[', ']', ',', 'null', '-1', '1e999', 'NaN', '9'.repeat(400), '\ud800', '\ufffd'],
  ...['error: Disconnected from qemu:///system', '@', '<a/>', '<!--', '<![CDATA['],
];
const WORDS = [
  ...['null', '-1', '1e999', 'NaN', '0.5', '""', '"?"', '[]', '{}', 'true'],
  '18446744073709551616',
];

export function spoil(text: string, chance: Chance): string {
  const at = chance.below(text.length);
  const to = Math.min(text.length, at + 1 + chance.below(60));
  switch (chance.below(7)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + text.slice(to);
    case 2:
      return text.slice(0, at) + chance.pick(PIECES) + text.slice(at);
    case 3:
      return text.slice(0, to) + text.slice(at);
    case 4:
      return spoilLines(text, chance);
    case 5:
      return spoilNumber(text, chance);
    default:
      return spoilElement(text, chance);
  }
}

/** A line twice, removed, or in another place. */
function spoilLines(text: string, chance: Chance): string {
  const lines = text.split('\n');
  const [line = ''] = lines.splice(chance.below(lines.length), 1);
  const copies = Array.from({ length: chance.below(3) }, () => line);
  return lines.toSpliced(chance.below(lines.length + 1), 0, ...copies).join('\n');
}

/** One number of the text becomes another one, or none. */
function spoilNumber(text: string, chance: Chance): string {
  const numbers = [...text.matchAll(/\d+/g)];
  const found = numbers[chance.below(numbers.length)];
  if (!found) return text;
  const end = found.index + found[0].length;
  return text.slice(0, found.index) + chance.pick(WORDS) + text.slice(end);
}

/** One element or quoted word removed, twice, or another one. */
function spoilElement(text: string, chance: Chance): string {
  const found = [...text.matchAll(/<[^<>]*\/>|'[^']*'|"[^"]*"|\w+='[^']*'/g)];
  const element = found[chance.below(found.length)];
  if (!element) return '';
  const [whole] = element;
  const change = chance.pick(['', `${whole}${whole}`, chance.pick(WORDS), chance.pick(PIECES)]);
  return text.slice(0, element.index) + change + text.slice(element.index + whole.length);
}
