/** A name in the target pool that something else has. */
import { formatByName } from '../chain/words.ts';
import { refused } from '../operation/failures.ts';
import { shell } from '../operation/names.ts';

/** A file that another program may need; this agent cannot know. */
export function nameTaken(
  attempted: string,
  { pool }: { pool: string },
  name: string,
  now: string,
) {
  const removal = formatByName(name)
    ? shell`blockflow rm ${pool}/${name}`
    : shell`blockflow rm ${pool}/${name} --source-format FORMAT`;
  return refused('name-taken', {
    attempted,
    now,
    next:
      'Choose another pool, or make sure that nothing needs that file and remove it: ' +
      `${removal} looks who uses it`,
  });
}
