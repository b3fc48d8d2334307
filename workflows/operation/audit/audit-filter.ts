/** Which events of the audit log a user wants to see. */
import * as z from 'zod/mini';
import { plainName, sizeBytes, vmName } from '../names.ts';

/** Which events: of those that match, the newest `limit`, as far as they fit into 1 MiB. */
export const auditFilter = z.strictObject({
  vm: z.optional(vmName),
  disk: z.optional(plainName),
  limit: sizeBytes,
});
export type AuditFilter = z.infer<typeof auditFilter>;
