/** Which nodes a person has compared with the machine, kept so that a reload does not ask again. */

const KEY = "gristmill:provide:confirmed";
/** Older ones go first. */
const NODES_MAX = 50;

function stored(): string[] {
  try {
    const nodes = JSON.parse(localStorage.getItem(KEY) ?? "[]") as unknown;
    return Array.isArray(nodes) ? nodes.filter((node) => typeof node === "string") : [];
  } catch {
    return [];
  }
}

export function isConfirmed(node: string): boolean {
  return stored().includes(node.toLowerCase());
}

export function confirmNode(node: string): void {
  const others = stored().filter((other) => other !== node.toLowerCase());
  try {
    localStorage.setItem(KEY, JSON.stringify([...others, node.toLowerCase()].slice(-NODES_MAX)));
  } catch {
    // A browser without storage only asks again after a reload.
  }
}
