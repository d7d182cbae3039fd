import type { Session } from './types';

const CSS = `
:host { all: initial; }
* { box-sizing: border-box; }
.kabar {
    --bg: #fff; --soft: #f1f3f5; --line: #d5dadf; --text: #16191d; --faint: #59626c; --bad: #b42318;
    color: var(--text);
    font: 400 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans Arabic", sans-serif;
    color-scheme: light;
}
.kabar.dark {
    --bg: #16191d; --soft: #262b31; --line: #3d444d; --text: #f2f4f6; --faint: #a9b2bc; --bad: #ff9a8f;
    color-scheme: dark;
}
button, textarea, input { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; background: none; padding: 0; }
svg { width: 24px; height: 24px; display: block; fill: none; stroke: currentColor; stroke-width: 2;
    stroke-linecap: round; stroke-linejoin: round; }
svg.filled { fill: currentColor; stroke: none; }
:focus-visible { outline: 3px solid var(--text); outline-offset: 2px; }
textarea:focus-visible, input:focus-visible { outline-width: 2px; outline-offset: -1px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }

.launcher {
    position: fixed; z-index: 2147483000; inset-block-end: 20px; width: 60px; height: 60px; border-radius: 50%;
    display: grid; place-items: center; background: var(--accent); color: var(--on-accent);
    box-shadow: 0 4px 16px #0004;
}
.end .launcher, .end .panel { inset-inline-end: 20px; }
.start .launcher, .start .panel { inset-inline-start: 20px; }
.launcher:focus-visible { outline-color: var(--accent); outline-offset: 3px; box-shadow: 0 0 0 3px #fff, 0 4px 16px #0004; }
.badge {
    position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-width: 24px; height: 24px; padding: 0 6px;
    border-radius: 12px; background: #b42318; color: #fff; font-size: 13px; font-weight: 600; line-height: 24px;
    text-align: center;
}

.panel {
    position: fixed; z-index: 2147483001; inset-block-end: 92px; width: 380px; max-width: calc(100vw - 40px);
    height: min(640px, calc(100dvh - 112px)); display: flex; flex-direction: column; overflow: hidden;
    background: var(--bg); border: 1px solid var(--line); border-radius: 16px; box-shadow: 0 12px 40px #0005;
}
header {
    display: flex; align-items: center; gap: 12px; padding: 14px 16px; background: var(--accent);
    color: var(--on-accent);
}
h2 { margin: 0; flex: 1; min-width: 0; font-size: 17px; font-weight: 600; overflow-wrap: anywhere; }
header button { width: 40px; height: 40px; margin-block: -6px; margin-inline-end: -8px; display: grid;
    place-items: center; border-radius: 10px; flex: none; }
header button:focus-visible { outline-color: var(--on-accent); outline-offset: -3px; }

.log { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; padding: 16px; display: flex;
    flex-direction: column; gap: 6px; }
.log:focus-visible { outline-offset: -3px; }
.day { align-self: center; margin: 10px 0 4px; color: var(--faint); font-size: 13px; }
.message { max-width: 84%; align-self: flex-start; }
.message.own { align-self: flex-end; }
.bubble { padding: 9px 13px; border-radius: 16px; border-end-start-radius: 4px; background: var(--soft);
    white-space: pre-wrap; overflow-wrap: anywhere; }
.own .bubble { background: var(--accent); color: var(--on-accent); border-end-start-radius: 16px;
    border-end-end-radius: 4px; }
.own .bubble :focus-visible { outline-color: var(--on-accent); }
.gone { font-style: italic; }
.bubble a, .whatsapp { color: inherit; text-decoration: underline; text-underline-offset: 2px; }
.bubble img { display: block; max-width: 100%; max-height: 240px; border-radius: 10px; }
.file { display: flex; align-items: center; gap: 8px; }
.file svg { width: 20px; height: 20px; flex: none; }
.bubble > :not(.hidden) + * { margin-block-start: 8px; }
time { unicode-bidi: isolate; }
.meta { margin: 3px 6px 4px; color: var(--faint); font-size: 12.5px; }
.own .meta { text-align: end; }
.meta button { text-decoration: underline; color: var(--bad); font-weight: 600; min-height: 24px; }
.meta .bad, .notice.bad, .error { color: var(--bad); }
.more { align-self: center; padding: 8px 14px; border: 1px solid var(--line); border-radius: 999px; font-size: 14px; }
.typing { padding: 0 20px 6px; color: var(--faint); font-size: 13px; min-height: 24px; }

.notice { padding: 8px 16px; background: var(--soft); font-size: 14px; }
.notice:empty { display: none; }
.whatsapp { display: block; padding: 10px 16px; border-block-start: 1px solid var(--line); text-align: center;
    font-size: 14px; }

form { border-block-start: 1px solid var(--line); padding: 10px 12px; }
.row { display: flex; align-items: flex-end; gap: 6px; }
textarea { flex: 1; min-width: 0; resize: none; min-height: 44px; max-height: 140px; padding: 10px 12px;
    border: 1px solid var(--faint); border-radius: 12px; background: var(--bg); }
textarea::placeholder { color: var(--faint); opacity: 1; }
.row button { width: 44px; height: 44px; display: grid; place-items: center; border-radius: 12px; flex: none; }
.send { background: var(--accent); color: var(--on-accent); }
[dir=rtl] .send svg { transform: scaleX(-1); }
.row button[aria-disabled=true] { opacity: .55; }
.files { display: flex; flex-wrap: wrap; gap: 6px; list-style: none; margin: 0 0 8px; padding: 0; }
.files:empty { display: none; }
.files li { display: flex; align-items: center; gap: 4px; max-width: 100%; padding-inline-start: 10px; font-size: 13px;
    background: var(--soft); border-radius: 8px; }
.files span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.files button { width: 32px; height: 32px; display: grid; place-items: center; flex: none; border-radius: 8px; }
.files svg { width: 14px; height: 14px; }
.files .bad { color: var(--bad); }

.ask p { margin: 0 0 8px; font-weight: 600; }
.ask label { display: block; margin-block-start: 8px; font-size: 14px; }
.ask input { display: block; width: 100%; min-height: 44px; padding: 8px 12px; border: 1px solid var(--faint);
    border-radius: 12px; background: var(--bg); }
.ask input[aria-invalid=true] { border-color: var(--bad); }
.error { display: block; font-size: 13px; }
.error:empty { display: none; }
.ask button { width: 100%; min-height: 44px; margin-block-start: 12px; border-radius: 12px; background: var(--accent);
    color: var(--on-accent); font-weight: 600; }

@media (max-width: 480px) {
    .launcher[aria-expanded=true] { display: none; }
    .end .panel, .start .panel { inset: 0; width: 100vw; max-width: none; height: 100dvh; border: 0; border-radius: 0; }
    /* Smaller text makes phones zoom into the field. */
    textarea, .ask input { font-size: 16px; }
    header { padding-block-start: max(14px, env(safe-area-inset-top)); }
}
@media (prefers-reduced-motion: no-preference) {
    .panel { animation: rise .16s ease-out; }
    @keyframes rise { from { opacity: 0; transform: translateY(8px); } }
}
@media (forced-colors: active) {
    .launcher, .panel, .bubble, .send { border: 1px solid CanvasText; }
}
`;

/** As sheets of its own: nothing that a page's policy for inline styles could forbid. */
export function dress(root: ShadowRoot, look: Session['appearance']): void {
    const sheet = new CSSStyleSheet();
    const colour = (text: string) => (/^#[0-9a-f]{6}$/i.test(text) ? text : '#000000');
    sheet.replaceSync(`${CSS}.kabar{--accent:${colour(look.accent)};--on-accent:${colour(look.accent_text)}}`);
    root.adoptedStyleSheets = [sheet];
}
