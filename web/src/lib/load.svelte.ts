/** Something read from the API for a page: not there yet, there, or failed. */
import { asFailure, type Failure } from './api/failure';

export class Load<T> {
  data = $state.raw<T>();
  failure = $state.raw<Failure>();
  /** True also while what is shown is read again. */
  loading = $state(false);
  #read: () => Promise<T>;
  #turn = 0;

  constructor(read: () => Promise<T>) {
    this.#read = read;
    void this.again();
  }

  /** Reads again; what is there stays until the answer comes. */
  again = async (): Promise<void> => {
    const turn = ++this.#turn;
    this.loading = true;
    try {
      const data = await this.#read();
      if (turn !== this.#turn) return;
      this.data = data;
      this.failure = undefined;
    } catch (error) {
      if (turn !== this.#turn) return;
      this.failure = asFailure(error);
    }
    this.loading = false;
  };
}
