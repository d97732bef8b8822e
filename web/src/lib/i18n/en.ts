/** English, the language that the others are translated from. Sentences with values take them as `{name}`. */

export const en = {
  "nav.submit": "Submit",
  "nav.jobs": "Jobs",
  "nav.provide": "Provide",
  "nav.nodes": "Nodes",
  "nav.market": "Market",
  "nav.recover": "Recover",
  "nav.receipt": "Receipts",
  "nav.status": "Status",
  "nav.settings": "Settings",
  "nav.menu": "Menu",
  "nav.skip": "Skip to content",
  "nav.dashboard": "Earnings",

  "action.close": "Close",
  "action.cancel": "Cancel",
  "action.copy": "Copy",
  "action.copied": "Copied",
  "action.retry": "Try again",
  "action.details": "Copy details",
  "action.back": "Back",
  "action.next": "Next",
  "action.reload": "Reload",

  "state.loading": "Loading…",
  "error.title": "This did not work",
  "error.unreachable": "The scheduler cannot be reached. Your money does not depend on it: see Recover.",
  "error.newVersion": "A new version of this page is available.",
  "error.notFound": "There is no such page.",
  "error.home": "Go to the start page",

  "banner.offline":
    "The scheduler does not answer. What you see may be old; money can be moved under Recover.",
  "banner.stopped": "This scheduler has stopped payouts: {reason}",
  "banner.development": "Development market: its coins are worth nothing.",
  "banner.wrongChain": "Your wallet is on another chain.",
  "banner.switch": "Switch to {chain}",

  "wallet.connect": "Connect wallet",
  "wallet.choose": "Choose a wallet",
  "wallet.none":
    "No wallet was found in this browser. Install one that announces itself by EIP-6963, such as MetaMask or Rabby, and reload.",
  "wallet.development": "Wallets of this development market",
  "wallet.developmentHelp": "Its chain signs for these accounts. They exist on this machine only.",
  "wallet.installed": "Installed in this browser",
  "wallet.waiting": "Waiting for {wallet}…",
  "wallet.refused": "You declined the connection. Nothing happened.",
  "wallet.failed": "{wallet} answered: {reason}",
  "wallet.disconnect": "Disconnect",
  "wallet.balance": "Balance",
  "wallet.account": "Account",
  "wallet.needed": "Connect a wallet to go on.",

  "field.optional": "optional",
  "transaction.starting": "Starting…",
  "transaction.switching": "Switch the chain in your wallet…",
  "transaction.simulating": "Trying it out…",
  "transaction.wallet": "Confirm in your wallet…",
  "transaction.sent": "Sent; waiting for a block…",
  "transaction.mined": "Done",
  "chart.table": "Show as table",
  "chart.plot": "Show as plot",
} as const;

export type MessageKey = keyof typeof en;
export type Messages = Record<MessageKey, string>;
