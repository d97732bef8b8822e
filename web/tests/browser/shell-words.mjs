// Splits a command as a POSIX shell does, by asking one.
import { execFileSync } from "node:child_process";

export function parseShell(command) {
  const printed = execFileSync("sh", [
    "-c",
    `for word in ${command.replaceAll("\\\n", " ")}; do printf '%s\\0' "$word"; done`,
  ]);
  return printed.toString().split("\0").slice(0, -1);
}
