/** How a process of ours is asked to end. */

/**
 * Aborts at the first SIGTERM or SIGINT. The listeners stay: execa's own (signal-exit) ends the
 * process at once when it finds no other, and a `once` listener is gone before that one looks.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(1);
      controller.abort(signal);
    });
  }
  return controller.signal;
}
