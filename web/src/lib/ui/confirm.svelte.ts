/** "Are you sure": one dialog for the whole app (`Confirm.svelte`), asked from anywhere. */

export interface Question {
  title: string;
  text: string;
  /** The button that does it. */
  action: string;
  danger?: boolean;
  /** Done while the dialog is open; it stays open and says why when this fails. */
  run: () => Promise<void>;
}

export const asked = $state<{ question: Question | undefined }>({ question: undefined });

export function confirm(question: Question): void {
  asked.question = question;
}
