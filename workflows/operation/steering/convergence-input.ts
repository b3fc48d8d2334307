/** `--converge` and `--max-pause`, of every request whose job ends with a pivot. */
import * as z from 'zod/mini';

export const convergenceInput = {
  /** Of a running VM: a guest that outruns the job is suspended for what is left. */
  converge: z._default(z.boolean(), false),
  /** Longest suspension for that. */
  maxPauseMs: z._default(z.int().check(z.minimum(1), z.maximum(60_000)), 200),
};
