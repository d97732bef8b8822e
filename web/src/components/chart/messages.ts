/** The words of plots. */

export const chartMessages = {
  en: {
    day: "Day",
    empty: "No data yet",
    emptyHelp: "The plot begins with the first finished jobs.",
    none: "–",
  },
  vi: {
    day: "Ngày",
    empty: "Chưa có dữ liệu",
    emptyHelp: "Biểu đồ bắt đầu khi có những việc đầu tiên hoàn thành.",
    none: "–",
  },
};
