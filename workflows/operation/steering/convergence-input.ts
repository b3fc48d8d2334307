/** `--converge` and `--max-pause`, of every request whose job ends with a pivot. */
import * as z from 'zod/mini';

const MAX_PAUSE_MS = 200;

export const convergenceInput = {
  /** Of a running VM: a guest that outruns the job is suspended for what is left. */
  converge: z._default(z.boolean(), false),
  /** Longest suspension for what the job has left, at READY also without `converge`. */
  maxPauseMs: z._default(z.int().check(z.minimum(1), z.maximum(60_000)), MAX_PAUSE_MS),
};

export interface Wanted {
  converge: boolean;
  maxPauseMs: number;
}

/** Those of the two that a request has. */
export const convergenceOptions = ({ converge, maxPauseMs }: Wanted): string[] => [
  ...(converge ? ['--converge'] : []),
  ...(maxPauseMs === MAX_PAUSE_MS ? [] : ['--max-pause']),
];

/** As one would type them. */
export const convergenceWords = (wanted: Wanted): string[] => [
  ...(wanted.converge ? ['--converge'] : []),
  ...(convergenceOptions(wanted).length > 0 ? [`--max-pause ${wanted.maxPauseMs}`] : []),
];
