/**
 * Answers of libvirt, QEMU and qemu-img that are not what they should be, or that do not come:
 * never guessed at. The only failures that an adapter has words for.
 */
import { z } from 'zod';
import { retry } from '../../workflows/operation/failures.ts';

/** Nothing is concluded from the answer; the activity asks again. */
export function unexpected(from: string, why: string, text = '') {
  const shown = text === '' ? '' : ` (${JSON.stringify(text.slice(0, 200))})`;
  return retry('unexpected-reply', {
    attempted: `reading the answer of ${from}`,
    now: `${why}${shown}; nothing was concluded from it`,
    next: 'blockflow asks again; if it stays so, compare the version with those of TESTING.md',
  });
}

/** libvirtd does not answer; the activity asks again. */
export const noAnswer = (uri: string, words: string, cause: Error) =>
  retry(
    'libvirt-away',
    {
      attempted: `asking libvirt at ${uri}`,
      now: `libvirtd does not answer (${words.split('\n').at(-1) ?? ''})`,
      next: 'blockflow asks again until it does; look at `systemctl status libvirtd`',
    },
    cause,
  );

/** @throws Retry `unexpected-reply` for a value of another shape. */
export function parseReply<S extends z.ZodType>(
  schema: S,
  from: string,
  value: unknown,
): z.output<S> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  throw unexpected(from, z.prettifyError(error).replaceAll('\n', ' '));
}

/** The same for text that has to be JSON. */
export function parseJsonReply<S extends z.ZodType>(
  schema: S,
  from: string,
  text: string,
): z.output<S> {
  return parseReply(schema, from, readJson(from, text));
}

export function readJson(from: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected(from, 'it is no JSON', text);
  }
}

/** A size or count: JSON also has fractions, negatives, and numbers that JavaScript rounds. */
export const count = z.int().nonnegative();
