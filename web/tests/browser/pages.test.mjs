// The pages that anybody can look at: what they show is what the market says, in both themes, at both widths.
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "node:test";
import { assertAccessible, connect, inBrowser, openBrowser, skip, startStack, until } from "./stack.mjs";

let stack;
before(async () => {
  if (!skip) stack = await startStack({ nodes: 2 });
});
after(() => stack?.close());

const json = async (where) => (await fetch(new URL(where, stack.url))).json();

/** Pages, and what is there once they are more than their frame. */
const PAGES = (node) => [
  ["/", "What always holds"],
  ["/market/", "Price and capacity by GPU"],
  ["/nodes/", "2 of 2 nodes"],
  [`/nodes/?compare=${node}`, "Comparison"],
  [`/node/?id=${node}`, "What it offers"],
  ["/node/", "Which node?"],
  ["/provide/", "Connect the wallet that is to be paid"],
  ["/provide/dashboard/", "Connect a wallet to go on."],
  ["/status/", "Everything answers."],
  ["/settings/", "Own endpoint"],
];

for (const theme of ["light", "dark"]) {
  for (const width of [360, 1440]) {
    test(`accessible in ${theme} at ${width} px`, { skip, timeout: 180_000 }, async () => {
      await inBrowser(stack, { party: null, theme, width }, async (browser) => {
        const page = await browser.page("/");
        const [{ id }] = (await json("/v1/nodes")).items;
        for (const [where, text] of PAGES(id)) {
          await page.goto(new URL(where, stack.url).href);
          await page.getByText(text, { exact: false }).first().waitFor();
          await page.locator("[role=status][aria-label^=Loading]").first().waitFor({ state: "detached" });
          assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), theme);
          assert.equal(await page.locator("main [role=alert]").count(), 0, `${where} shows an error`);
          await assertAccessible(page);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          assert.ok(over <= 0, `${where} is ${over} px wider than the window`);
        }
      });
    });
  }
}

test("the start page shows the market's own numbers", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page("/");
    const market = await json("/v1/market");
    const card = (label) => page.getByText(label, { exact: true }).locator("..");
    await until("the numbers", async () => {
      const text = await card("Nodes online").innerText();
      return text.includes(`${market.nodes_online}\n`) && text.includes(`of ${market.nodes_total}`);
    });
    await page.locator("main").getByRole("link", { name: "Provide a GPU" }).click();
    await page.waitForURL("**/provide/");
  });
});

test("nodes: filters, order and comparison live in the address", { skip, timeout: 60_000 }, async () => {
  const { items } = await json("/v1/nodes");
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page("/nodes/");
    await page.getByText("2 of 2 nodes").waitFor();
    await page.getByLabel("Runtime").selectOption("docker");
    const docker = items.filter(({ offer }) => offer.runtimes.includes("docker")).length;
    await page.getByText(`${docker} of 2 nodes`).waitFor();
    await page.getByLabel("GPU memory").selectOption("80");
    await page.getByText("No node matches these filters").waitFor();
    assert.equal(new URL(page.url()).search, "?vram=80&runtime=docker");
    await page.reload();
    await page.getByText("No node matches these filters").waitFor();
    await page.getByRole("button", { name: "Clear filters" }).first().click();
    await page.getByText("2 of 2 nodes").waitFor();
    assert.equal(new URL(page.url()).search, "");

    await page.getByRole("button", { name: "Price floor" }).click();
    await page
      .getByRole("columnheader", { name: "Price floor" })
      .and(page.locator("[aria-sort=ascending]"))
      .waitFor();
    await page.getByRole("button", { name: "Price floor" }).click();
    await page.locator("[aria-sort=descending]").waitFor();
    assert.equal(new URL(page.url()).search, "?sort=-price");

    // Two clicks without a pause: neither is lost.
    await page.evaluate(() => {
      for (const box of document.querySelectorAll("main input[type=checkbox]")) box.click();
    });
    const comparison = page.getByRole("region", { name: "Comparison" });
    assert.equal(await comparison.getByRole("columnheader").count(), 2);
    const link = page.url();
    await page.goto(`${stack.url}/nodes/?vram=junk&state=asleep&compare=0x1,<b>`);
    await page.getByText("2 of 2 nodes").waitFor();
    await page.goto(link);
    await comparison.getByRole("link").first().click();
    await page.getByText("What it offers").waitFor();
  });
});

test("lists that pages share do not get in each other's way", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page("/submit/");
    await page.getByText("Nodes that match").waitFor();
    // The form has asked for the nodes as well; what it keeps is not what the list expects.
    await page.waitForResponse(/\/v1\/nodes/);
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Nodes" }).click();
    await page.getByText("2 of 2 nodes").waitFor();
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Market" }).click();
    await page.getByRole("heading", { name: "Price and capacity by GPU" }).waitFor();
  });
});

test("a node that is not known says so", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/node/?id=0x${"12".repeat(20)}`);
    await page.getByText("This scheduler knows no such node").waitFor();
    await page.goto(`${stack.url}/node/?id=<script>`);
    await page.getByText("The address of this page needs a node").waitFor();
  });
});

test("market: every plot has its table", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page("/market/");
    const { days } = await json("/v1/market");
    await page.getByRole("heading", { name: "Jobs a day" }).waitFor();
    const plot = page.locator("section", { has: page.getByRole("heading", { name: "Jobs a day" }) }).last();
    await plot.locator("canvas").waitFor();
    await plot.getByRole("button", { name: "Show as table" }).click();
    assert.equal(await plot.getByRole("row").count(), days.length + 1);
    await plot.getByRole("button", { name: "Show as plot" }).click();
    await plot.locator("canvas").waitFor();
  });
});

test("status tells a scheduler that is gone from a chain that is well", {
  skip,
  timeout: 120_000,
}, async () => {
  await inBrowser(stack, { party: null, expected: [/net::ERR_/] }, async (browser) => {
    const page = await browser.page("/status/");
    await page.getByText("Everything answers.").waitFor();
    const row = (name) => page.getByRole("row", { name: new RegExp(`^${name}`) });
    await stack.command("scheduler kill");
    await page.getByRole("button", { name: "Ask again" }).click();
    try {
      await row("Scheduler").getByText("Down", { exact: true }).waitFor();
      await row("Readiness").getByText("Down", { exact: true }).waitFor();
      await row("Chain").getByText("OK", { exact: true }).waitFor();
      await row("Contract").getByText("bytes of code").waitFor();
      await page.getByText("Something needs a look.").waitFor();
    } finally {
      // The other tests need it.
      await stack.command("scheduler start");
    }
    await page.getByText("Everything answers.").waitFor({ timeout: 40_000 });
  });
});

test("settings: theme and language at once, and after a reload", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page("/settings/");
    await page.evaluate(() => {
      window.isSamePage = true;
    });
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    await page.getByText("Dark", { exact: true }).click();
    assert.equal(await theme(), "dark");
    await page.getByText("Tiếng Việt").click();
    await page.getByRole("heading", { level: 1, name: "Cài đặt" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "vi");
    assert.ok(await page.evaluate(() => window.isSamePage), "without a reload");
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Cài đặt" }).waitFor();
    assert.equal(await theme(), "dark");
    for (const where of ["/", "/market/", "/nodes/", "/provide/", "/status/"]) {
      await page.goto(stack.url + where);
      await page.getByRole("link", { name: "Thị trường" }).first().waitFor();
      await assertAccessible(page);
    }
  });
});

test("settings: an own endpoint is asked for its chain before it is saved", {
  skip,
  timeout: 60_000,
}, async () => {
  const expected = [/Content Security Policy/, /net::ERR_/];
  await inBrowser(stack, { party: null, expected }, async (browser) => {
    const page = await browser.page("/settings/");
    const field = page.getByLabel("Own endpoint");
    const save = page.getByRole("button", { name: "Check and save" });
    const stored = () =>
      page.evaluate((chain) => localStorage.getItem(`gristmill:rpc:${chain}`), stack.chain_id);
    await field.fill("http://rpc.example.org");
    await save.click();
    await page.getByText("Write an address that begins with https://").waitFor();

    // The page's policy keeps it from asking strangers: it must say so, and not that they were silent.
    await field.fill("https://127.0.0.1:9/rpc");
    await save.click();
    await page.getByText("allows browsers to ask its own endpoints only").waitFor();
    assert.equal(await stored(), null, "nothing was saved");

    // Another chain behind the right address.
    await page.route(`${stack.rpc_url}/**`, (route) =>
      route.fulfill({ json: { jsonrpc: "2.0", id: 1, result: "0x1" } }),
    );
    await field.fill(`${stack.rpc_url}/other`);
    await save.click();
    await page.getByText(`This endpoint is on chain 1; the market is on chain ${stack.chain_id}.`).waitFor();
    assert.equal(await stored(), null, "nothing was saved");
    await page.unroute(`${stack.rpc_url}/**`);

    await field.fill(stack.rpc_url);
    await save.click();
    await page.getByText("Saved.").waitFor();
    assert.equal(await stored(), `${stack.rpc_url}/`);
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByText("your own", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Back to the scheduler's" }).click();
    assert.equal(await stored(), null);
  });
});

test("settings: local data goes along as a file, or away", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page("/settings/");
    await page.evaluate(() => {
      localStorage.setItem("gristmill:submission:0x01", '{"step":"prepared"}');
      localStorage.setItem("somebody-else", "stays");
    });
    await page.reload();
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export" }).click();
    const file = await (await download).path();
    assert.deepEqual(JSON.parse(fs.readFileSync(file, "utf8")).entries, {
      "gristmill:submission:0x01": '{"step":"prepared"}',
    });

    await page.getByRole("button", { name: "Forget everything" }).click();
    await page.getByRole("dialog").getByText("1 records of submissions").waitFor();
    await page.keyboard.press("Escape");
    assert.equal(
      await page.evaluate(() => localStorage.getItem("gristmill:submission:0x01")),
      '{"step":"prepared"}',
    );
    await page.getByRole("button", { name: "Forget everything" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Forget everything" }).click();
    await page.getByText("Everything was forgotten.").waitFor();
    const keys = () =>
      page.evaluate(() => Object.keys(localStorage).filter((key) => !key.startsWith("wagmi")));
    assert.deepEqual(await keys(), ["somebody-else"]);

    const choose = (name, text) =>
      page
        .locator("input[type=file]")
        .setInputFiles({ name, mimeType: "application/json", buffer: Buffer.from(text) });
    await choose(
      "foreign.json",
      '{"format":"gristmill-local-data","version":1,"entries":{"somebody-else":"gone"}}',
    );
    await page.getByText("This file holds entries that are not of this site.").waitFor();
    assert.equal(await page.evaluate(() => localStorage.getItem("somebody-else")), "stays");
    await choose("data.json", fs.readFileSync(file, "utf8"));
    await page.getByText("1 entries were taken over").waitFor();
  });
});

test("every page is reached by keyboard alone, past the navigation", { skip, timeout: 60_000 }, async () => {
  const browser = await openBrowser(stack, { party: "stranger" });
  try {
    const page = await browser.page("/nodes/");
    await page.getByText("2 of 2 nodes").waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.activeElement.closest("main") !== null));
    await connect(page);
    await page.goto(`${stack.url}/provide/dashboard/`);
    await page.getByText("No nodes yet").waitFor();
    browser.verify();
  } finally {
    await browser.close();
  }
});
