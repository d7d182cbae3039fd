import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { paraglideVitePlugin } from '@inlang/paraglide-js';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig, type Plugin } from 'vite';

/** Puts compressed copies beside what is worth it; the server hands them out as they are. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      for (const entry of readdirSync('dist/app', { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const content = readFileSync(path);
        const brotli = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
        if (brotli.length > content.length * 0.9) continue;
        writeFileSync(path + '.br', brotli);
        writeFileSync(path + '.gz', gzipSync(content, { level: 9 }));
      }
    },
  };
}

// `npm run dev` shows the app over a running Kabar: KABAR_URL, else the address of `make run`.
const server = process.env.KABAR_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: '/app/',
  plugins: [
    paraglideVitePlugin({
      project: './project.inlang',
      outdir: './src/lib/paraglide',
      strategy: ['cookie', 'preferredLanguage', 'baseLocale'],
      // The sign-in pages read the same cookie.
      cookieName: 'lang',
    }),
    tailwindcss(),
    svelte(),
    compressed(),
  ],
  resolve: { alias: { $lib: resolve('src/lib'), $pages: resolve('src/pages') } },
  build: {
    outDir: 'dist/app',
    emptyOutDir: true,
    // A file inside a stylesheet or a script would need `data:` in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: {
    proxy: Object.fromEntries(
      ['/api', '/login', '/logout', '/connect', '/media', '/embed', '/openapi.json'].map((path) => [path, server]),
    ),
  },
});
