/**
 * Values that cannot be read: the Web UI sends what is typed in another encoding, too, and any
 * text as JSON. Temporal's own converter throws, the workflow's task fails, and is retried without
 * end. Here such a value becomes one of a kind that no request, rate or choice is.
 */
import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

export class UnreadableValue {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

type Context = Parameters<PayloadConverter['fromPayload']>[1];

/** By this name the bundle of the workflows takes it up (`worker/bundle.ts`). */
export const payloadConverter: PayloadConverter = {
  toPayload: (value, context) => defaultPayloadConverter.toPayload(value, context),
  fromPayload<T>(payload: Payload, context: Context): T {
    try {
      return defaultPayloadConverter.fromPayload<T>(payload, context);
    } catch (error) {
      // The result of an activity is our own agent's: never a guess.
      if (context?.type !== 'workflow') throw error;
      return new UnreadableValue(error instanceof Error ? error.message : String(error)) as T;
    }
  },
};
