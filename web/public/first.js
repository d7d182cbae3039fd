// Before the first paint: the theme and the direction of the text, so that neither flashes.
(() => {
  const root = document.documentElement;
  let theme;
  try {
    theme = localStorage.getItem('kabar.theme');
  } catch {
    // Storage is switched off: the system's theme.
  }
  const dark = theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  root.dataset.theme = dark ? 'dark' : 'light';
  const chosen = document.cookie.match(/(?:^|; )lang=(en|id|ar)\b/)?.[1];
  const language = chosen ?? navigator.languages.map((it) => it.slice(0, 2)).find((it) => ['en', 'id', 'ar'].includes(it));
  root.lang = language ?? 'en';
  root.dir = root.lang === 'ar' ? 'rtl' : 'ltr';
})();
