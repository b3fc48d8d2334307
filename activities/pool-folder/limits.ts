/** How much of its work an agent begins at once: `STATE/limits.json`, which a person may change. */
import { join } from 'node:path';
import { z } from 'zod';
import { readText, writeWhole } from '../adapters/files/files.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';

const count = z.int().nonnegative();
const limits = z.object({
  copies: count.default(10),
  merges: count.default(50),
  /** Copies at once into a pool, by its name. */
  pools: z.record(z.string(), count).default({}),
});
/** 0 is no limit. */
export type Limits = z.infer<typeof limits>;

const fileOf = (stateDir: string) => join(stateDir, 'limits.json');

/** @throws an Error with the file's name when it cannot be understood */
export async function readLimits(stateDir: string): Promise<Limits> {
  const file = fileOf(stateDir);
  const text = (await readText(file).catch(nullIfMissing)) ?? '{}';
  try {
    return limits.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`${file} holds no limits: correct it, or remove it`, { cause: error });
  }
}

/** Agents of this state folder see it within a second. */
export const writeLimits = (stateDir: string, changed: Limits): Promise<void> =>
  writeWhole(fileOf(stateDir), `${JSON.stringify(changed, null, 2)}\n`, { ifThere: 'replace' });
