/** Light or dark. `public/first.js` has set it before the first paint; this follows and changes it. */

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'kabar.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

let chosen = $state<Theme>(stored());

function apply() {
  document.documentElement.dataset.theme = chosen === 'dark' || (chosen === 'system' && dark.matches) ? 'dark' : 'light';
}

dark.addEventListener('change', apply);

export const theme = {
  get chosen() {
    return chosen;
  },
  choose(value: Theme) {
    chosen = value;
    try {
      localStorage.setItem(KEY, value);
    } catch {
      // Kept for this page only.
    }
    apply();
  },
};
