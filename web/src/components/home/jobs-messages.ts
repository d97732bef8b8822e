/** The words of a short list of jobs. */

export const jobsMessages = {
  en: { caption: "Newest jobs", job: "Job", state: "State", bounty: "Bounty", created: "Posted" },
  vi: {
    caption: "Việc mới nhất",
    job: "Việc",
    state: "Trạng thái",
    bounty: "Tiền thưởng",
    created: "Đăng lúc",
  },
};
