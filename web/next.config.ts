import type { NextConfig } from "next";

// A static export: the scheduler serves the files, so that nothing else has to run.
const config: NextConfig = {
  output: "export",
  trailingSlash: true,
  images: { unoptimized: true },
  reactStrictMode: true,
  poweredByHeader: false,
};

export default config;
