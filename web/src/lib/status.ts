/** The one vocabulary of states: a word, a tone and a sentence for each. A state never shows by colour alone. */

import type { Schemas } from "./api";

export type Tone = "neutral" | "info" | "good" | "warn" | "bad";
export type StatusIcon =
  | "clock"
  | "search"
  | "play"
  | "phone"
  | "shield"
  | "flag"
  | "coins"
  | "undo"
  | "check"
  | "x"
  | "pause";
type Words = { word: string; help: string };
/** `word` and `help` are English; `statusWords` gives those of the page's language. */
export type Status = Words & { tone: Tone; icon: StatusIcon; vi: Words };

export function statusWords(status: Status, language: "en" | "vi"): Words {
  return language === "vi" ? status.vi : status;
}

export const JOB_STATUS: Record<Schemas["JobState"], Status> = {
  funding: {
    word: "Funding",
    tone: "warn",
    icon: "clock",
    help: "The bounty is not locked yet.",
    vi: { word: "Chờ nạp tiền", help: "Tiền thưởng chưa được khóa." },
  },
  queued: {
    word: "Queued",
    tone: "info",
    icon: "search",
    help: "The bounty is locked; a node is being looked for.",
    vi: { word: "Đang chờ", help: "Tiền thưởng đã khóa; đang tìm máy." },
  },
  assigned: {
    word: "Running",
    tone: "info",
    icon: "play",
    help: "A node has the job.",
    vi: { word: "Đang chạy", help: "Một máy đang giữ việc này." },
  },
  calling_in: {
    word: "Calling in",
    tone: "warn",
    icon: "phone",
    help: "The node went silent and must answer on chain, or lose the job.",
    vi: { word: "Đang gọi máy", help: "Máy đã im lặng và phải trả lời trên chuỗi, nếu không sẽ mất việc." },
  },
  verifying: {
    word: "Verifying",
    tone: "info",
    icon: "shield",
    help: "The result is being checked.",
    vi: { word: "Đang kiểm tra", help: "Kết quả đang được kiểm tra." },
  },
  published: {
    word: "Published",
    tone: "info",
    icon: "flag",
    help: "The node put its result on chain itself.",
    vi: { word: "Đã công bố", help: "Máy đã tự đưa kết quả lên chuỗi." },
  },
  settling: {
    word: "Settling",
    tone: "info",
    icon: "coins",
    help: "The result is accepted; the payment is on its way.",
    vi: { word: "Đang thanh toán", help: "Kết quả được chấp nhận; tiền đang được trả." },
  },
  refunding: {
    word: "Refunding",
    tone: "warn",
    icon: "undo",
    help: "Nobody will be paid; the bounty is on its way back.",
    vi: { word: "Đang hoàn tiền", help: "Không ai được trả; tiền thưởng đang quay về." },
  },
  settled: {
    word: "Settled",
    tone: "good",
    icon: "check",
    help: "The provider is paid, finally.",
    vi: { word: "Đã trả", help: "Nhà cung cấp đã nhận tiền, không thể đảo ngược." },
  },
  refunded: {
    word: "Refunded",
    tone: "neutral",
    icon: "undo",
    help: "The bounty is back with the submitter, finally.",
    vi: { word: "Đã hoàn tiền", help: "Tiền thưởng đã về lại người gửi, không thể đảo ngược." },
  },
  cancelled: {
    word: "Cancelled",
    tone: "neutral",
    icon: "x",
    help: "Given up before the bounty was locked.",
    vi: { word: "Đã hủy", help: "Đã bỏ trước khi tiền thưởng được khóa." },
  },
};

export const ATTEMPT_STATUS: Record<Schemas["AttemptState"], Status> = {
  leased: {
    word: "Preparing",
    tone: "info",
    icon: "clock",
    help: "The node fetches inputs and program.",
    vi: { word: "Chuẩn bị", help: "Máy đang tải dữ liệu và chương trình." },
  },
  running: {
    word: "Running",
    tone: "info",
    icon: "play",
    help: "The program runs.",
    vi: { word: "Đang chạy", help: "Chương trình đang chạy." },
  },
  reported: {
    word: "Reported",
    tone: "info",
    icon: "shield",
    help: "The node has signed a result, which is being checked.",
    vi: { word: "Đã báo cáo", help: "Máy đã ký kết quả; kết quả đang được kiểm tra." },
  },
  accepted: {
    word: "Accepted",
    tone: "good",
    icon: "check",
    help: "The result was accepted.",
    vi: { word: "Được chấp nhận", help: "Kết quả đã được chấp nhận." },
  },
  rejected: {
    word: "Rejected",
    tone: "bad",
    icon: "x",
    help: "The result was not as the receipt says.",
    vi: { word: "Bị từ chối", help: "Kết quả không như biên nhận nói." },
  },
  expired: {
    word: "Expired",
    tone: "bad",
    icon: "x",
    help: "The node fell silent and lost the job.",
    vi: { word: "Quá hạn", help: "Máy im lặng và mất việc." },
  },
  released: {
    word: "Given back",
    tone: "neutral",
    icon: "undo",
    help: "The node gave the job back in time.",
    vi: { word: "Đã trả lại", help: "Máy đã trả lại việc kịp thời." },
  },
  failed: {
    word: "Failed",
    tone: "bad",
    icon: "x",
    help: "The program did not succeed.",
    vi: { word: "Thất bại", help: "Chương trình không thành công." },
  },
  abandoned: {
    word: "Abandoned",
    tone: "neutral",
    icon: "x",
    help: "The job ended otherwise.",
    vi: { word: "Bị bỏ", help: "Việc đã kết thúc theo cách khác." },
  },
};

export const NODE_STATUS: Record<Schemas["NodeState"], Status> = {
  idle: {
    word: "Idle",
    tone: "good",
    icon: "check",
    help: "Ready for a job.",
    vi: { word: "Rảnh", help: "Sẵn sàng nhận việc." },
  },
  busy: {
    word: "Busy",
    tone: "info",
    icon: "play",
    help: "Works on a job.",
    vi: { word: "Bận", help: "Đang làm việc." },
  },
  draining: {
    word: "Draining",
    tone: "warn",
    icon: "pause",
    help: "Finishes what it has and takes nothing new.",
    vi: { word: "Sắp nghỉ", help: "Làm xong việc đang có và không nhận việc mới." },
  },
  offline: {
    word: "Offline",
    tone: "neutral",
    icon: "x",
    help: "Not heard of for a while.",
    vi: { word: "Ngoại tuyến", help: "Đã lâu không có tin." },
  },
};

/** `money` says where it is, in the command line's words. */
export const ESCROW_STATUS: Record<Schemas["EscrowState"], Status & { money: { en: string; vi: string } }> = {
  none: {
    word: "Not locked",
    tone: "neutral",
    icon: "clock",
    help: "The contract knows nothing of this job.",
    vi: { word: "Chưa khóa", help: "Hợp đồng chưa biết việc này." },
    money: { en: "in the wallet, not locked", vi: "trong ví, chưa khóa" },
  },
  open: {
    word: "Open",
    tone: "info",
    icon: "search",
    help: "The bounty is locked; no node has the job.",
    vi: { word: "Mở", help: "Tiền thưởng đã khóa; chưa máy nào giữ việc." },
    money: { en: "in the escrow, nobody works on it", vi: "trong hợp đồng ký quỹ, chưa ai làm" },
  },
  assigned: {
    word: "Assigned",
    tone: "info",
    icon: "play",
    help: "A node holds the job.",
    vi: { word: "Đã giao", help: "Một máy đang giữ việc." },
    money: { en: "in the escrow, a node works on it", vi: "trong hợp đồng ký quỹ, một máy đang làm" },
  },
  held: {
    word: "Held",
    tone: "info",
    icon: "clock",
    help: "Settled; the payment waits for the end of the hold.",
    vi: { word: "Tạm giữ", help: "Đã thanh toán; tiền chờ hết thời gian tạm giữ." },
    money: {
      en: "in the escrow, on its way to the provider",
      vi: "trong hợp đồng ký quỹ, sắp trả cho nhà cung cấp",
    },
  },
  published: {
    word: "Published",
    tone: "info",
    icon: "flag",
    help: "A result is on chain and can be disputed.",
    vi: { word: "Đã công bố", help: "Kết quả đã ở trên chuỗi và có thể bị khiếu nại." },
    money: {
      en: "in the escrow, the provider's after the window",
      vi: "trong hợp đồng ký quỹ, thuộc nhà cung cấp sau thời hạn khiếu nại",
    },
  },
  disputed: {
    word: "Disputed",
    tone: "warn",
    icon: "shield",
    help: "The arbiter has to rule.",
    vi: { word: "Tranh chấp", help: "Trọng tài phải phán quyết." },
    money: { en: "in the escrow, the arbiter rules", vi: "trong hợp đồng ký quỹ, trọng tài phán quyết" },
  },
  paid: {
    word: "Paid",
    tone: "good",
    icon: "check",
    help: "The provider was paid.",
    vi: { word: "Đã trả", help: "Nhà cung cấp đã được trả tiền." },
    money: { en: "with the provider", vi: "ở nhà cung cấp" },
  },
  refunded: {
    word: "Refunded",
    tone: "neutral",
    icon: "undo",
    help: "The bounty went back to the submitter.",
    vi: { word: "Đã hoàn tiền", help: "Tiền thưởng đã về lại người gửi." },
    money: { en: "back with the submitter", vi: "đã về lại người gửi" },
  },
  cancelled: {
    word: "Cancelled",
    tone: "neutral",
    icon: "x",
    help: "The submitter took the job back.",
    vi: { word: "Đã hủy", help: "Người gửi đã rút việc về." },
    money: { en: "back with the submitter", vi: "đã về lại người gửi" },
  },
};

/** The contract's states by number, as `job(id)` answers. */
export const ESCROW_STATES = [
  "none",
  "open",
  "assigned",
  "held",
  "published",
  "disputed",
  "paid",
  "refunded",
  "cancelled",
] as const satisfies readonly Schemas["EscrowState"][];

const ENDS: readonly Schemas["JobState"][] = ["settled", "refunded", "cancelled"];
export function isEnd(state: Schemas["JobState"]): boolean {
  return ENDS.includes(state);
}
