/** Tiếng Việt. */

import type { Messages } from "./en";

export const vi: Messages = {
  "nav.submit": "Gửi việc",
  "nav.jobs": "Công việc",
  "nav.provide": "Cung cấp",
  "nav.nodes": "Máy",
  "nav.market": "Thị trường",
  "nav.recover": "Thu hồi",
  "nav.receipt": "Biên nhận",
  "nav.status": "Tình trạng",
  "nav.settings": "Cài đặt",
  "nav.menu": "Menu",
  "nav.skip": "Đến nội dung",
  "nav.dashboard": "Thu nhập",

  "action.close": "Đóng",
  "action.cancel": "Hủy",
  "action.copy": "Sao chép",
  "action.copied": "Đã sao chép",
  "action.retry": "Thử lại",
  "action.details": "Sao chép chi tiết",
  "action.back": "Quay lại",
  "action.next": "Tiếp",
  "action.reload": "Tải lại",

  "state.loading": "Đang tải…",
  "error.title": "Không thực hiện được",
  "error.unreachable":
    "Không liên lạc được với bộ điều phối. Tiền của bạn không phụ thuộc vào nó: xem Thu hồi.",
  "error.newVersion": "Trang này có phiên bản mới.",
  "error.notFound": "Không có trang này.",
  "error.home": "Về trang đầu",

  "banner.offline": "Bộ điều phối không trả lời. Dữ liệu có thể đã cũ; tiền vẫn chuyển được ở mục Thu hồi.",
  "banner.stopped": "Bộ điều phối này đã dừng chi trả: {reason}",
  "banner.development": "Thị trường phát triển: tiền ở đây không có giá trị.",
  "banner.wrongChain": "Ví của bạn đang ở chuỗi khác.",
  "banner.switch": "Chuyển sang {chain}",

  "wallet.connect": "Kết nối ví",
  "wallet.choose": "Chọn ví",
  "wallet.none":
    "Không tìm thấy ví trong trình duyệt này. Hãy cài một ví hỗ trợ EIP-6963 như MetaMask hoặc Rabby rồi tải lại trang.",
  "wallet.development": "Ví của thị trường phát triển này",
  "wallet.developmentHelp": "Chuỗi tự ký cho các tài khoản này. Chúng chỉ tồn tại trên máy này.",
  "wallet.installed": "Đã cài trong trình duyệt này",
  "wallet.waiting": "Đang chờ {wallet}…",
  "wallet.refused": "Bạn đã từ chối kết nối. Không có gì xảy ra.",
  "wallet.failed": "{wallet} trả lời: {reason}",
  "wallet.disconnect": "Ngắt kết nối",
  "wallet.balance": "Số dư",
  "wallet.account": "Tài khoản",
  "wallet.needed": "Hãy kết nối ví để tiếp tục.",

  "field.optional": "không bắt buộc",
  "transaction.starting": "Đang bắt đầu…",
  "transaction.switching": "Hãy chuyển chuỗi trong ví…",
  "transaction.simulating": "Đang thử trước…",
  "transaction.wallet": "Hãy xác nhận trong ví…",
  "transaction.sent": "Đã gửi; đang chờ khối…",
  "transaction.mined": "Xong",
  "chart.table": "Xem dạng bảng",
  "chart.plot": "Xem dạng biểu đồ",
};
