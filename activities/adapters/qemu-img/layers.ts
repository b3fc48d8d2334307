/** A chain as one word of a qemu-img command: each file and format is given, none looked for. */
export interface Layer {
  path: string;
  format: 'qcow2' | 'raw';
}

/** Of the layers base-most first; whatever their headers name, nothing else is opened. */
export const imageOf = (layers: readonly Layer[]): string => `json:${JSON.stringify(node(layers))}`;

export const pathsOf = (layers: readonly Layer[]) => layers.map(({ path }) => path);

function node(layers: readonly Layer[]): object | null {
  const top = layers.at(-1);
  if (!top) return null;
  const file = { driver: 'file', filename: top.path };
  const backing = top.format === 'qcow2' ? { backing: node(layers.slice(0, -1)) } : {};
  return { driver: top.format, ...backing, file };
}
