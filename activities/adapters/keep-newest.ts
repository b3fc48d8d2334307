/** A memory of what was read that holds no more than so many. */
export function keepNewest<T>(known: Map<string, T>, key: string, value: T, most: number): void {
  // The newest is the last one.
  known.delete(key);
  known.set(key, value);
  const [oldest] = known.keys();
  if (known.size > most && oldest !== undefined) known.delete(oldest);
}
