/** Sizes, limits and names in words, as every message says them. Pure. */
import { utf8Length } from './names.ts';

/** What a person calls a volume: its file's name. */
export const fileName = (path: string) => path.slice(path.lastIndexOf('/') + 1);
export const volumeCount = (count: number) => (count === 1 ? '1 volume' : `${count} volumes`);

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1.5 GiB`; bytes below 1 KiB as they are. */
export function sizeWords(bytes: number): string {
  if (Math.abs(bytes) < 1024) return `${Math.round(bytes)} B`;
  let value = bytes / 1024;
  let unit = 0;
  // What would be printed as 1024.0 belongs to the next unit.
  while (Math.abs(value) >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${UNITS[unit]}`;
}

/** `no limit` for 0. */
export const limitWords = (bytesPerSecond: number) =>
  bytesPerSecond === 0 ? 'no limit' : `${sizeWords(bytesPerSecond)}/s`;

/** For a summary, of which Temporal refuses more than 200 bytes. */
export function oneLine(text: string): string {
  if (utf8Length(text) <= 200) return text;
  let cut = '';
  for (const char of text) {
    if (utf8Length(cut + char) > 197) break;
    cut += char;
  }
  return `${cut}…`;
}

/** Foreign text as a part of a line, whatever is in it. */
export const quoted = (words: string) => inLine(JSON.stringify(words.slice(0, 50)));
/** Without what would end the line or turn it around. */
export const inLine = (words: string) => words.replace(/\p{C}|\p{Zl}|\p{Zp}/gu, '?');

/** Control and format characters, and other ends of lines; a new line and a tab are ours. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Text of others for a terminal or a log: what would move the cursor, turn a line around or make
 * two names look alike is shown as JSON writes it, so that a document still has the same content.
 */
export const visible = (text: string): string =>
  text.replace(UNSEEN, (char) => (char === '\n' || char === '\t' ? char : codesOf(char)));

const codesOf = (char: string) =>
  Array.from({ length: char.length }, (_, at) => {
    const code = char.charCodeAt(at).toString(16).padStart(4, '0');
    return `\\u${code}`;
  }).join('');
