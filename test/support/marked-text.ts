/** Parts of TESTING.md that commands write, between `<!-- NAME:begin -->` and the end of NAME. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export async function writeMarked(name: string, text: string): Promise<void> {
  const file = fileURLToPath(new URL('../../TESTING.md', import.meta.url));
  const old = await readFile(file, 'utf8');
  const marked = new RegExp(`(<!-- ${name}:begin -->\\n)[\\s\\S]*(<!-- ${name}:end -->)`);
  if (!marked.test(old)) throw new Error(`TESTING.md has no marks of ${name}`);
  await writeFile(
    file,
    old.replace(marked, (_, a: string, b: string) => `${a}${text}\n${b}`),
  );
}
