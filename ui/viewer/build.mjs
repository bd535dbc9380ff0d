// Bundles the viewer: `npm ci && npm run build`. The digest of the sources stands at the head of the bundle, so that a
// test can tell, without Node, whether it is current (tests/ui/test_viewer.py).
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";

const sources = [...readdirSync("src").map((name) => `src/${name}`), "package-lock.json", "build.mjs"].sort();
const digest = createHash("sha256");
for (const name of sources) digest.update(name).update("\0").update(readFileSync(name)).update("\0");
await build({
  entryPoints: ["src/viewer.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "inline",
  outfile: "dist/viewer.js",
  banner: { js: `// sources: ${digest.digest("hex")}` },
});
