/** Light, dark, or as the system has it. `THEME_SCRIPT` runs before the first paint, so that nothing flashes. */

export type Theme = "system" | "light" | "dark";
const STORED = "gristmill:theme";

export const THEME_SCRIPT = `(()=>{let t;try{t=localStorage.getItem("${STORED}")}catch{}document.documentElement.dataset.theme=t==="light"||t==="dark"?t:matchMedia("(prefers-color-scheme: dark)").matches?"dark":"light"})()`;

export function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(STORED);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    return "system";
  }
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") localStorage.removeItem(STORED);
  else localStorage.setItem(STORED, theme);
  const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
