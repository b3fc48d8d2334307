/** Whose snapshots are listed. */
import * as z from 'zod/mini';
import { hostName, vmName } from '../../operation/names.ts';

export const snapshotQuestion = z.strictObject({ vm: vmName, host: hostName });
export type SnapshotQuestion = z.output<typeof snapshotQuestion>;
