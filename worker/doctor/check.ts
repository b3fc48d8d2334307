/** One finding of `blockflow doctor`. */
export interface Check {
  area: 'machine' | 'libvirt' | 'storage' | 'temporal' | 'agents';
  state: 'ok' | 'hint' | 'fails';
  /** What is true. */
  found: string;
  /** How to mend it; null when nothing needs to be done. */
  mend: string | null;
}

export const checker = (area: Check['area']) => ({
  ok: (found: string): Check => ({ area, state: 'ok', found, mend: null }),
  hint: (found: string, mend: string): Check => ({ area, state: 'hint', found, mend }),
  fails: (found: string, mend: string): Check => ({ area, state: 'fails', found, mend }),
});

/** The words of an error, in one line. */
export const wordsOf = (error: unknown) =>
  (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s*\n\s*/g, ' ');
