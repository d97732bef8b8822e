/** The sentences of the submit page. */

import type { AreaMessages } from "@/lib/i18n";
import { en, type SubmitKey } from "./messages-en";
import { vi } from "./messages-vi";

export type { SubmitKey };
export const messages = { en, vi } satisfies AreaMessages<SubmitKey>;
