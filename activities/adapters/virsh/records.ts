/** virsh's commands for what libvirt remembers: metadata of domains, and snapshots. */
import { CommandError } from '../process/command.ts';
import { buildRecord, type RecordFields } from '../libvirt-xml/domain-xml.ts';
import { nullIf, type VirshConnection } from './connection.ts';
import { snapshotTexts, snapshotXml } from './snapshot-texts.ts';

/**
 * One metadata element a disk, so that two operations of one VM never rewrite each other's record.
 */
export const recordUri = (disk: string) => `urn:blockflow:job:${disk}`;

/** XML without what would end a quoted word in a session of virsh, or its line. */
export const inOneLine = (xml: string) => xml.trim().replaceAll("'", '&apos;');

export function recordCommands(virsh: VirshConnection) {
  return {
    async setRecord(uuid: string, record: RecordFields, scopes: readonly string[]): Promise<void> {
      const element = ['--key', 'blockflow', '--set', inOneLine(buildRecord(record))];
      await virsh.command('metadata', uuid, '--uri', recordUri(record.disk), ...element, ...scopes);
    },
    /** True when there was one to remove. */
    async removeRecord(uuid: string, disk: string, scopes: readonly string[]): Promise<boolean> {
      try {
        await virsh.command('metadata', uuid, '--uri', recordUri(disk), '--remove', ...scopes);
        return true;
      } catch (error) {
        if (error instanceof CommandError && /metadata not found/.test(error.stderr)) return false;
        throw error;
      }
    },
    async checkpointNames(uuid: string): Promise<string[]> {
      return (await virsh.ask(`checkpoint-list ${uuid} --name`)).split('\n').filter(Boolean);
    },
    checkpointXml: (uuid: string, name: string) =>
      virsh.command('checkpoint-dumpxml', uuid, '--checkpointname', name, '--no-domain'),
    snapshotTexts: (uuid: string) => snapshotTexts(virsh, uuid),
    /** Null where there is none of that name. */
    snapshotXml: (uuid: string, name: string) => snapshotXml(virsh, uuid, name),
    redefineSnapshot: (uuid: string, xml: string) =>
      virsh.feed(xml, (path) => ['snapshot-create', uuid, '--xmlfile', path, '--redefine']),
    /** The one that the VM runs on; null without. A name may begin and end with blanks. */
    async currentSnapshot(uuid: string): Promise<string | null> {
      const text = await virsh
        .ask(`snapshot-current ${uuid} --name`)
        .catch(nullIf(/no current snapshot/));
      return text?.replace(/\n+$/, '') || null;
    },
    /** Lists a snapshot that was taken without metadata, as the one that the VM runs on. */
    listSnapshot: (uuid: string, xml: string) =>
      virsh.feed(xml, (path) => [
        ...['snapshot-create', uuid, '--xmlfile', path, '--redefine', '--current'],
      ]),
    /**
     * Of one inside of images: from them, too, while the VM runs. That it says so proves nothing
     * (docs/lab/libvirt.md).
     */
    deleteSnapshot: (uuid: string, name: string) =>
      virsh.run('snapshot-delete', uuid, '--snapshotname', name),
    deleteSnapshotRecord: (uuid: string, name: string) =>
      virsh.command('snapshot-delete', uuid, '--snapshotname', name, '--metadata'),
  };
}
