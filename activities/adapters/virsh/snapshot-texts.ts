/**
 * The snapshots of a VM. virsh prints each name on lines of its own, as it is, and a name may have
 * ends of lines: lines are a name only where libvirt finds one of that name.
 */
import { parseSnapshot, factsOf } from '../libvirt-xml/snapshot-xml.ts';
import { unexpected } from '../reply.ts';
import { nullIf, type VirshConnection } from './connection.ts';

export interface SnapshotText {
  name: string;
  xml: string;
}

/** Null where there is none of that name. */
export const snapshotXml = (virsh: VirshConnection, uuid: string, name: string) =>
  virsh
    .command('snapshot-dumpxml', uuid, '--snapshotname', name, '--security-info')
    .catch(nullIf(/no domain snapshot with matching/));

/**
 * The XML of each, parents first; without one that is deleted meanwhile.
 * @throws Retry `unexpected-reply` for lines that are no names of snapshots
 */
export async function snapshotTexts(virsh: VirshConnection, uuid: string): Promise<SnapshotText[]> {
  const list = async () =>
    (await virsh.ask(`snapshot-list ${uuid} --name --topological`)).split('\n').slice(0, -1);
  const lines = await list();
  const known = new Map<string, Promise<string | null>>();
  const textOf = async (name: string) => {
    if (name === '') return null;
    const asked = known.get(name) ?? snapshotXml(virsh, uuid, name);
    known.set(name, asked);
    return asked;
  };
  const texts = await Promise.all(lines.map(async (name) => ({ name, xml: await textOf(name) })));
  const listed = texts.filter((text): text is SnapshotText => text.xml !== null);
  const isPlain = listed.length === lines.length && new Set(lines).size === lines.length;
  if (isPlain) return listed;
  const names = await namesOf(lines, async (name) => (await textOf(name)) !== null);
  if (names) {
    const found = names.map(async (name) => ({ name, xml: (await textOf(name)) ?? '' }));
    return parentsFirst(await Promise.all(found));
  }
  const now = await list();
  if (now.join('\n') !== lines.join('\n')) return snapshotTexts(virsh, uuid);
  throw unexpected('virsh snapshot-list', `VM ${uuid} has no snapshots of these names`, now.join());
}

/**
 * The names that these lines are, each of one snapshot that is there: as names differ, no others
 * have the same lines. Null where there are none.
 */
async function namesOf(
  lines: readonly string[],
  isThere: (name: string) => Promise<boolean>,
  before: readonly string[] = [],
): Promise<readonly string[] | null> {
  if (lines.length === 0) return before;
  for (let length = 1; length <= Math.min(lines.length, MOST_LINES); length++) {
    const name = lines.slice(0, length).join('\n');
    if (before.includes(name) || !(await isThere(name))) continue;
    const names = await namesOf(lines.slice(length), isThere, [...before, name]);
    if (names) return names;
  }
  return null;
}

/** A name is that of a file, with at most 255 bytes. */
const MOST_LINES = 255;

function parentsFirst(texts: readonly SnapshotText[]): SnapshotText[] {
  const parents = new Map(texts.map(({ name, xml }) => [name, factsOf(parseSnapshot(xml)).parent]));
  const depthOf = (name: string): number => {
    const parent = parents.get(name);
    return parent === null || parent === undefined ? 0 : 1 + depthOf(parent);
  };
  return texts.toSorted((a, b) => depthOf(a.name) - depthOf(b.name));
}
