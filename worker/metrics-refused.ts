/** Light, so that the command line can tell it without Temporal's code. */

/** Metrics cannot be served there; nothing was started. */
export class MetricsRefused extends Error {
  override readonly name = 'MetricsRefused';
  readonly address: string;
  /** The system's own words. */
  readonly reason: string;

  constructor(address: string, cause: Error) {
    super(`metrics cannot be served on ${address}: ${cause.message}`, { cause });
    this.address = address;
    this.reason = cause.message.replace(/^.*exporter: /, '');
  }
}
