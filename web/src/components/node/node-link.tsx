/** A node's address that leads to its page. */

import { Id } from "@/components/ui/copy";

export function NodeLink({ id }: { id: string }) {
  return <Id value={id} href={`/node/?id=${id}`} />;
}
