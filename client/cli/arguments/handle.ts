/** What names one snapshot inside of an image: all three options, or none. */
import type { DeletionRequest } from '../../library/requests.ts';
import { usage } from '../../library/failure.ts';

interface Options {
  disk?: string;
  format?: 'qcow2' | 'raw';
  id?: string;
}

/** A name alone may be that of several, or the id of another one. @throws BlockflowError Usage */
export function parseHandle(name: string, { disk, format, id }: Options): DeletionRequest['only'] {
  if (disk === undefined && format === undefined && id === undefined) return null;
  if (disk !== undefined && format !== undefined && id !== undefined) {
    return { disk, handle: { format, id, name } };
  }
  throw usage(
    'reading --disk, --format and --id',
    'they name one snapshot inside of an image only together',
    'Give all three, as `blockflow snapshot list VM` shows them, or none',
  );
}
