/** Saves bytes under a name, as if they had been downloaded. */

export function saveBlob(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The download has begun with the click; the address may go afterwards.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
