/** What can be done with a job's money, and what each deed does to it. */

import type { AreaMessages } from "@/lib/i18n";

export const actionMessages = {
  en: {
    "cancel.button": "Cancel job",
    "cancel.title": "Cancel this job?",
    "cancel.money":
      "The bounty of {bounty} goes back to the submitter at once. The job can never be opened again.",
    "cancel.stop": "The scheduler is asked to stop the job first, and its node gives it back.",
    "cancel.unopened":
      "The contract knows nothing of this job, so no money is locked. This makes sure that it can never be opened.",
    "cancel.done": "Cancelled. The bounty is back with the submitter.",
    "cancel.asking": "Asking the scheduler to stop the job…",
    "cancel.waiting": "Waiting until the node gives the job back…",
    "cancel.timeout":
      "The node has not given the job back yet. Try again in a few minutes; after the deadline a refund works in any case.",
    "lapse.button": "Take it from its node",
    "lapse.title": "Take the job from its node?",
    "lapse.money":
      "The node has gone silent and its lease is over. Its bond of {bond} is forfeited: half goes to the submitter, half waits for whoever completes the job. The bounty stays locked; the job is open again and can then be cancelled.",
    "lapse.done": "The job is open again.",
    "refund.button": "Take the bounty back",
    "refund.title": "Refund this job?",
    "refund.money":
      "The deadline has passed and nothing was delivered. {bounty} goes to the submitter {submitter}, with what was forfeited to the job.",
    "refund.done": "Refunded. The bounty is back with the submitter.",
    "claim.button": "Pay out",
    "claim.title": "Pay the provider?",
    "claim.money":
      "The time to object is over. {bounty}, less the scheduler's fee where it is due, goes to the provider {provider}.",
    "claim.done": "Paid to the provider.",
    "dispute.button": "Dispute the result",
    "dispute.title": "Dispute this result?",
    "dispute.money":
      "You pay a dispute bond of {disputeBond} now. The arbiter {arbiter} then has {ruling} to rule. A ruling to refund gives you the bounty, the provider's bond and your dispute bond. A ruling to pay, or silence, gives the bounty and your dispute bond to the provider.",
    "dispute.token":
      "This job is paid in a token, which must be allowed to the contract first. The command `gristmill dispute` does both.",
    "dispute.done": "Disputed. The arbiter has to rule.",
    "rule.button": "Rule",
    "rule.title": "Rule on this dispute",
    "rule.choice": "Your ruling",
    "rule.pay": "Pay",
    "rule.payMoney": "The provider gets the bounty of {bounty} and the dispute bond of {disputeBond}.",
    "rule.refund": "Refund",
    "rule.refundMoney":
      "The submitter gets the bounty of {bounty} and the provider's bond of {bond}. The dispute bond goes back.",
    "rule.reopen": "Reopen",
    "rule.reopenMoney":
      "The provider loses its bond of {bond}. The job is open for another node. The dispute bond goes back.",
    "rule.done": "Ruled.",
    "way.cancel": "Cancel",
    "way.lapse": "Take it from a silent node",
    "way.refund": "Refund",
    "way.claim": "Pay out",
    "way.dispute": "Dispute",
    "way.rule": "Rule",
    "way.now": "now",
    "way.nowUntil": "now, until {until}",
    "way.from": "from {from}",
    "way.over": "over",
    confirm: "Yes, go on",
    keep: "No, keep it as it is",
    close: "Close",
    gas: "Only the network's fee for the transaction comes on top.",
    offline: "The scheduler does not answer, so only the contract is asked.",
  },
  vi: {
    "cancel.button": "Hủy việc",
    "cancel.title": "Hủy việc này?",
    "cancel.money": "Tiền thưởng {bounty} về lại người gửi ngay. Việc này không bao giờ mở lại được.",
    "cancel.stop": "Trước hết bộ điều phối được yêu cầu dừng việc, và máy trả việc lại.",
    "cancel.unopened":
      "Hợp đồng chưa biết việc này nên chưa có tiền nào bị khóa. Thao tác này bảo đảm nó không bao giờ được mở.",
    "cancel.done": "Đã hủy. Tiền thưởng đã về lại người gửi.",
    "cancel.asking": "Đang yêu cầu bộ điều phối dừng việc…",
    "cancel.waiting": "Đang chờ máy trả việc lại…",
    "cancel.timeout":
      "Máy chưa trả việc lại. Hãy thử lại sau vài phút; sau hạn chót thì luôn hoàn tiền được.",
    "lapse.button": "Lấy lại từ máy",
    "lapse.title": "Lấy việc lại từ máy?",
    "lapse.money":
      "Máy đã im lặng và hết thời gian giữ việc. Tiền cọc {bond} bị mất: một nửa về người gửi, một nửa dành cho ai hoàn thành việc. Tiền thưởng vẫn khóa; việc mở lại và có thể hủy sau đó.",
    "lapse.done": "Việc đã mở lại.",
    "refund.button": "Lấy lại tiền thưởng",
    "refund.title": "Hoàn tiền việc này?",
    "refund.money":
      "Đã quá hạn chót mà không có kết quả. {bounty} về người gửi {submitter}, cùng phần cọc đã mất cho việc này.",
    "refund.done": "Đã hoàn tiền cho người gửi.",
    "claim.button": "Chi trả",
    "claim.title": "Trả cho nhà cung cấp?",
    "claim.money":
      "Đã hết thời gian khiếu nại. {bounty}, trừ phí của bộ điều phối nếu có, sẽ về nhà cung cấp {provider}.",
    "claim.done": "Đã trả cho nhà cung cấp.",
    "dispute.button": "Khiếu nại kết quả",
    "dispute.title": "Khiếu nại kết quả này?",
    "dispute.money":
      "Bạn đặt cọc khiếu nại {disputeBond} ngay bây giờ. Trọng tài {arbiter} có {ruling} để phán quyết. Nếu phán hoàn tiền, bạn nhận tiền thưởng, tiền cọc của nhà cung cấp và tiền cọc khiếu nại. Nếu phán chi trả, hoặc im lặng, nhà cung cấp nhận tiền thưởng và tiền cọc khiếu nại.",
    "dispute.token":
      "Việc này trả bằng token, phải cho phép hợp đồng dùng token trước. Lệnh `gristmill dispute` làm cả hai.",
    "dispute.done": "Đã khiếu nại. Trọng tài phải phán quyết.",
    "rule.button": "Phán quyết",
    "rule.title": "Phán quyết tranh chấp này",
    "rule.choice": "Phán quyết của bạn",
    "rule.pay": "Chi trả",
    "rule.payMoney": "Nhà cung cấp nhận tiền thưởng {bounty} và tiền cọc khiếu nại {disputeBond}.",
    "rule.refund": "Hoàn tiền",
    "rule.refundMoney":
      "Người gửi nhận tiền thưởng {bounty} và tiền cọc {bond} của nhà cung cấp. Tiền cọc khiếu nại được trả lại.",
    "rule.reopen": "Mở lại",
    "rule.reopenMoney":
      "Nhà cung cấp mất tiền cọc {bond}. Việc mở lại cho máy khác. Tiền cọc khiếu nại được trả lại.",
    "rule.done": "Đã phán quyết.",
    "way.cancel": "Hủy",
    "way.lapse": "Lấy lại từ máy im lặng",
    "way.refund": "Hoàn tiền",
    "way.claim": "Chi trả",
    "way.dispute": "Khiếu nại",
    "way.rule": "Phán quyết",
    "way.now": "bây giờ",
    "way.nowUntil": "bây giờ, đến {until}",
    "way.from": "từ {from}",
    "way.over": "đã hết",
    confirm: "Có, tiếp tục",
    keep: "Không, giữ nguyên",
    close: "Đóng",
    gas: "Chỉ thêm phí giao dịch của mạng.",
    offline: "Bộ điều phối không trả lời, nên chỉ hỏi hợp đồng.",
  },
} satisfies AreaMessages<string>;
