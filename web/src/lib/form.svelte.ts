/** A form on its way to the API: busy, refused by field, or failed. */
import { asFailure, type Failure } from './api/failure';
import { lines } from './lines';
import { m } from './paraglide/messages';

export class Form {
  busy = $state(false);
  failure = $state.raw<Failure>();

  /** The first error of a field, or of one inside it (`origins` has `origins.0`). */
  error = (field: string): string | undefined => {
    const errors = this.failure?.errors ?? {};
    const name = Object.keys(errors).find((it) => it === field || it.startsWith(field + '.'));
    return name === undefined ? undefined : errors[name]?.[0];
  };

  /** As `error`, of a list that was sent as the lines of `text`: each that is wrong, by its line. */
  lines = (field: string, text: string): string | undefined => {
    const errors = this.failure?.errors ?? {};
    const wrong = lines(text).flatMap(({ line }, index) => {
      const told = errors[`${field}.${index}`]?.[0];
      // The server names a field by its place in the request, which nobody sees here.
      return told === undefined ? [] : [m.line_wrong({ line, text: told.replace(`The ${field}.${index} field `, '') })];
    });
    return wrong.length > 0 ? wrong.join('\n') : this.error(field);
  };

  /** What no field of `shown` says. */
  rest = (shown: string[]): string | undefined => {
    if (!this.failure) return;
    const names = Object.keys(this.failure.errors);
    const other = names.find((name) => !shown.some((it) => name === it || name.startsWith(it + '.')));
    if (names.length > 0) return other === undefined ? undefined : this.failure.errors[other]?.[0];
    return this.failure.text;
  };

  clear = (): void => {
    this.failure = undefined;
  };

  /** Runs `send` unless it runs already; true when it went well. Otherwise the first refused field gets the focus. */
  submit = async (send: () => Promise<void>): Promise<boolean> => {
    if (this.busy) return false;
    this.busy = true;
    this.failure = undefined;
    try {
      await send();
      return true;
    } catch (error) {
      this.failure = asFailure(error);
      requestAnimationFrame(() => document.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
      return false;
    } finally {
      this.busy = false;
    }
  };
}
