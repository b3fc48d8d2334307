/** Nothing was changed. */
export class NoService extends Error {
  override readonly name = 'NoService';
  /** What to do, where it is not to repeat it as root. */
  readonly next: string | null;

  constructor(message: string, next: string | null = null) {
    super(message);
    this.next = next;
  }
}

/** The unit is written or still there, and systemd does not do what it was told. */
export class SystemctlFailed extends Error {
  override readonly name = 'SystemctlFailed';
}
