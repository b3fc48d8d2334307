/** One finding of `blockflow doctor`. */
export interface Check {
  area: 'machine' | 'libvirt' | 'storage' | 'temporal' | 'agents';
  state: 'ok' | 'hint' | 'fails';
  /** What is true. */
  found: string;
  /** How to fix it; null when nothing needs to be done. */
  fix: string | null;
  /** A folder that needs a pool: `doctor --fix` adds it. */
  poolFolder?: string;
}

export const checker = (area: Check['area']) => ({
  ok: (found: string): Check => ({ area, state: 'ok', found, fix: null }),
  hint: (found: string, fix: string): Check => ({ area, state: 'hint', found, fix }),
  fails: (found: string, fix: string): Check => ({ area, state: 'fails', found, fix }),
});

/** The words of an error, in one line. */
export const wordsOf = (error: unknown) =>
  (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s*\n\s*/g, ' ');
