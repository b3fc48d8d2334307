/** Parts of documents that commands write, between `<!-- NAME:begin -->` and the end of NAME. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The document of each part. */
export const markedParts = {
  bench: 'docs/proof/bench.md',
  figures: 'docs/proof/crash-matrix.md',
  seeded: 'docs/proof/seeded-bugs.md',
} as const;

/** Matches one part: the begin mark, the text, the end mark. */
export const partOf = (name: string) =>
  new RegExp(`(<!-- ${name}:begin -->\\n)[\\s\\S]*(<!-- ${name}:end -->)`);

export async function writeMarked(name: keyof typeof markedParts, text: string): Promise<void> {
  const file = fileURLToPath(new URL(`../../${markedParts[name]}`, import.meta.url));
  const old = await readFile(file, 'utf8');
  const marked = partOf(name);
  if (!marked.test(old)) throw new Error(`${markedParts[name]} has no marks of ${name}`);
  await writeFile(
    file,
    old.replace(marked, (_, a: string, b: string) => `${a}${text}\n${b}`),
  );
}
