/** All files of the repository, for the tests of the rules. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const notOurs = new Set(['node_modules', '.git', 'dist', 'coverage']);

export type File = { path: string; text: string; lines: string[] };

function listFiles(folder: string): File[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !notOurs.has(name))
    .flatMap((entry) => {
      const full = join(folder, entry.name);
      if (entry.isDirectory()) return listFiles(full);
      if (!entry.isFile()) return [];
      const text = readFileSync(full, 'utf8');
      return [{ path: relative(root, full), text, lines: text.replace(/\n$/, '').split('\n') }];
    });
}

export const files = listFiles(root).filter(({ path }) => !path.endsWith('.log'));
export const code = files.filter(({ path }) => /\.(ts|mts|mjs|js|sh|asm|S)$|^\.ci\//.test(path));
export const documents = files.filter(({ path }) => path.endsWith('.md'));

/** "file:line words" for each line in which the pattern is found. */
export function linesMatching(file: File, pattern: RegExp): string[] {
  return file.lines.flatMap((line, index) => {
    const match = pattern.exec(line);
    return match ? [`${file.path}:${index + 1} ${match[0]}`] : [];
  });
}
