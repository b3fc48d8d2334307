/** What comes from several sides, for one reader who takes it one by one. */
export interface Mailbox<T> extends AsyncIterable<T> {
  put: (item: T) => void;
  /** The reader's next step fails with it, whatever has not been read yet. */
  fail: (error: unknown) => void;
}

export function createMailbox<T extends object>(): Mailbox<T> {
  const items: T[] = [];
  let failure: Error | null = null;
  let wake: () => void = () => undefined;
  return {
    put(item) {
      items.push(item);
      wake();
    },
    fail(error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        if (failure) throw failure;
        const item = items.shift();
        if (item) yield item;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
