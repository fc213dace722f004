import type { Log, LogFields } from "../../src/log/log.ts";

interface Expectation {
  readonly text: string;
  readonly resolve: (fields: LogFields) => void;
}

/** A log of all levels that tests wait on: what is written there is what an operator learns, and when. */
export class ListeningLog implements Log {
  #expectations: readonly Expectation[] = [];

  /** Resolves with the fields of the next event whose message contains `text`. */
  hears(text: string): Promise<LogFields> {
    return new Promise((resolve) => {
      this.#expectations = [...this.#expectations, { text, resolve }];
    });
  }

  readonly #event = (message: string, fields: LogFields = {}): void => {
    const met = this.#expectations.filter(({ text }) => message.includes(text));
    this.#expectations = this.#expectations.filter((expectation) => !met.includes(expectation));
    for (const { resolve } of met) resolve(fields);
  };
  readonly trace = this.#event;
  readonly debug = this.#event;
  readonly info = this.#event;
  readonly warn = this.#event;
  readonly error = this.#event;
  enabled(): boolean {
    return true;
  }
  target(): Log {
    return this;
  }
  span(): Log {
    return this;
  }
}
