/** The frame of every page. */

import type { Metadata, Viewport } from "next";
import type { ReactNode } from "react";
import { Banners } from "@/components/banners";
import { DeploymentProvider } from "@/components/deployment";
import { SiteFooter } from "@/components/site-footer";
import { SiteHeader } from "@/components/site-header";
import { SkipLink } from "@/components/skip-link";
import { I18nProvider } from "@/lib/i18n";
import { THEME_SCRIPT } from "@/lib/theme";
import "./globals.css";

export const metadata: Metadata = {
  title: { default: "Gristmill: GPU jobs without a middleman", template: "%s · Gristmill" },
  description:
    "Post a GPU job with a bounty locked in a contract. A node runs it, the result is verified, the provider is paid.",
  referrer: "no-referrer",
};

export const viewport: Viewport = { width: "device-width", initialScale: 1 };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" data-theme="light" suppressHydrationWarning>
      <head>
        {/* biome-ignore lint/security/noDangerouslySetInnerHtml: a constant of ours, whose hash the policy allows. */}
        <script dangerouslySetInnerHTML={{ __html: THEME_SCRIPT }} />
      </head>
      <body className="flex min-h-dvh flex-col">
        <I18nProvider>
          <DeploymentProvider>
            <SkipLink />
            <SiteHeader />
            <Banners />
            <main id="content" tabIndex={-1} className="flex-1 outline-none">
              {children}
            </main>
            <SiteFooter />
          </DeploymentProvider>
        </I18nProvider>
      </body>
    </html>
  );
}
