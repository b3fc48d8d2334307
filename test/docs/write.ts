/** `npm run docs`: writes the documents that are made of code. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cliReference, cliReferencePath } from './cli-reference.ts';

const root = new URL('../../', import.meta.url);
writeFileSync(fileURLToPath(new URL(cliReferencePath, root)), cliReference());
process.stdout.write(`wrote ${cliReferencePath}\n`);
