// One file for pages to load, and the same packed for browsers that take it so.
import { mkdirSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const { outputFiles } = await build({
    entryPoints: ['src/main.ts'],
    bundle: true,
    minify: true,
    format: 'iife',
    target: ['es2022', 'chrome109', 'firefox115', 'safari16.4'],
    charset: 'utf8',
    legalComments: 'none',
    write: false,
});
const [{ contents }] = outputFiles;
mkdirSync('dist', { recursive: true });
writeFileSync('dist/widget.js', contents);
writeFileSync('dist/widget.js.gz', gzipSync(contents, { level: 9 }));
writeFileSync('dist/widget.js.br', brotliCompressSync(contents));
