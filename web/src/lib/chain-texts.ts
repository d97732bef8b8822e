/** What people read when the wallet, the endpoint or the contract says no, in each language. Loaded with the chain. */

import { exactAmount } from "./money";

type Args = readonly unknown[];

function at(seconds: unknown): string {
  return new Date(Number(seconds) * 1000).toLocaleString(document.documentElement.lang);
}

function coins(amount: unknown): string {
  return exactAmount(BigInt(amount as bigint));
}

const en = {
  declined: "You declined in the wallet. Nothing was sent.",
  unreachable: "The chain's RPC endpoint does not answer.",
  otherTab: "Another tab waits for your wallet. Finish or decline there first.",
  replaced: "The transaction was replaced in the wallet.",
  failed: "The contract refused the transaction.",
  refused: (reason: string) => `The contract refuses: ${reason}.`,
  /** A sentence for each error of the contract that a person can meet. */
  errors: {
    DeadlinePassed: ([deadline]: Args) => `The deadline (${at(deadline)}) has passed.`,
    DeadlineNotPassed: ([deadline]: Args) =>
      `The bounty can be taken back after the deadline, ${at(deadline)}.`,
    WrongState: () => "The job has moved on: look at its state and try again.",
    WrongValue: ([sent, required]: Args) =>
      `The transaction carries ${coins(sent)}, but ${coins(required)} is needed.`,
    InsufficientBalance: (args: Args) =>
      `The balance in the market is ${coins(args[2])}, but ${coins(args[3])} is needed.`,
    LeaseRunning: ([until]: Args) => `A node still works on this job, until ${at(until)} at most.`,
    WindowOpen: ([until]: Args) => `This is possible after ${at(until)}.`,
    WindowClosed: ([until]: Args) => `This was possible until ${at(until)}.`,
    NotSubmitter: () => "Only the wallet that posted this job may do this.",
    NotProvider: () => "Only the wallet that owns this node may do this.",
    NotArbiter: () => "Only the job's arbiter may do this.",
    FeeAboveBounty: () => "The fee is larger than the bounty.",
    TermOutOfRange: ([term, value, min, max]: Args) =>
      `${String(term)} is ${String(value)}; it must be between ${String(min)} and ${String(max)}.`,
    ZeroBounty: () => "The bounty must be more than zero.",
    PartialArbiter: () => "With a bond at stake, the arbiter must be neither you nor the scheduler.",
    AlreadyEnrolled: () => "This node is enrolled already.",
    EnrollmentExpired: () => "The node's consent has expired. Run the node's command again for a new one.",
    BadSignature: () => "The node's signature is not for this wallet and contract.",
    NodeRevoked: () => "This node was revoked.",
  },
};

type Texts = typeof en;
export type NamedError = keyof Texts["errors"];

const vi: Texts = {
  declined: "Bạn đã từ chối trong ví. Không có gì được gửi.",
  unreachable: "Điểm RPC của chuỗi không trả lời.",
  otherTab: "Một thẻ khác đang chờ ví của bạn. Hãy hoàn tất hoặc từ chối ở đó trước.",
  replaced: "Giao dịch đã bị thay thế trong ví.",
  failed: "Hợp đồng đã từ chối giao dịch.",
  refused: (reason) => `Hợp đồng từ chối: ${reason}.`,
  errors: {
    DeadlinePassed: ([deadline]) => `Đã quá hạn chót (${at(deadline)}).`,
    DeadlineNotPassed: ([deadline]) => `Có thể lấy lại tiền thưởng sau hạn chót, ${at(deadline)}.`,
    WrongState: () => "Công việc đã chuyển sang trạng thái khác: hãy xem lại rồi thử lần nữa.",
    WrongValue: ([sent, required]) => `Giao dịch mang ${coins(sent)}, nhưng cần ${coins(required)}.`,
    InsufficientBalance: (args) =>
      `Số dư trong thị trường là ${coins(args[2])}, nhưng cần ${coins(args[3])}.`,
    LeaseRunning: ([until]) => `Một máy vẫn đang làm việc này, muộn nhất đến ${at(until)}.`,
    WindowOpen: ([until]) => `Chỉ thực hiện được sau ${at(until)}.`,
    WindowClosed: ([until]) => `Chỉ thực hiện được đến ${at(until)}.`,
    NotSubmitter: () => "Chỉ ví đã gửi việc này mới được làm điều này.",
    NotProvider: () => "Chỉ ví sở hữu máy này mới được làm điều này.",
    NotArbiter: () => "Chỉ trọng tài của việc này mới được làm điều này.",
    FeeAboveBounty: () => "Phí lớn hơn tiền thưởng.",
    TermOutOfRange: ([term, value, min, max]) =>
      `${String(term)} là ${String(value)}; phải nằm giữa ${String(min)} và ${String(max)}.`,
    ZeroBounty: () => "Tiền thưởng phải lớn hơn không.",
    PartialArbiter: () => "Khi có tiền cọc, trọng tài không được là bạn hay bộ điều phối.",
    AlreadyEnrolled: () => "Máy này đã được ghi danh.",
    EnrollmentExpired: () => "Sự đồng ý của máy đã hết hạn. Hãy chạy lại lệnh của máy để có bản mới.",
    BadSignature: () => "Chữ ký của máy không dành cho ví và hợp đồng này.",
    NodeRevoked: () => "Máy này đã bị thu hồi.",
  },
};

/** The texts in the language that the page is in now. */
export function chainTexts(): Texts {
  return document.documentElement.lang === "vi" ? vi : en;
}

/** The sentence for an error of the contract, or its bare name. */
export function errorSentence(name: string, args: Args, reason: string): string {
  const { errors, refused } = chainTexts();
  return Object.hasOwn(errors, name) ? errors[name as NamedError](args) : refused(reason);
}
