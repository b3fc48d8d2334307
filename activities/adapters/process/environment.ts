/**
 * What a child gets of this agent's environment. Some live for hours and outlive the agent, and
 * what lets it into Temporal is no business of theirs.
 */
const SECRET = /^TEMPORAL_|KEY|TOKEN|SECRET|PASSW|CREDENTIAL/i;

/** @param more variables of its own */
export function childEnvironment(more: Record<string, string> = {}): Record<string, string> {
  const kept = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || SECRET.test(name) ? [] : [[name, value] as const],
  );
  return { ...Object.fromEntries(kept), ...more };
}
