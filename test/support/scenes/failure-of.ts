/** How an operation failed. */
import {
  failureDetails,
  type FailureDetails,
  type FailureType,
} from '../../../workflows/operation/failures.ts';

/** Type and details of the failure; nothing of an operation that did not fail, or otherwise. */
export async function failureOf(
  operation: Promise<unknown>,
): Promise<Partial<FailureDetails> & { type?: FailureType }> {
  const failure = failureDetails(await operation.catch((error: unknown) => error));
  return failure ? { type: failure.type, ...failure.details } : {};
}
