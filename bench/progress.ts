/** Says what goes on and how long it will take, one line for each step. */
export class Progress {
  readonly #write: (line: string) => void;
  /** Of each scenario, at most. */
  readonly #seconds: readonly number[];
  #left = 0;
  #scenario = "";
  #number = 0;
  #stepSeconds = 0;

  /** @param seconds estimated for each scenario, if it takes all the rounds there may be. */
  constructor(seconds: readonly number[], write: (line: string) => void) {
    this.#seconds = seconds;
    this.#write = write;
  }

  scenario(name: string): void {
    this.#scenario = name;
    this.#left = this.#seconds.slice(this.#number).reduce((sum, one) => sum + one, 0);
    this.#stepSeconds = 0;
    this.#number++;
  }

  /** @param seconds that the step takes. */
  step(text: string, seconds: number): void {
    this.#left = Math.max(0, this.#left - this.#stepSeconds);
    this.#stepSeconds = seconds;
    const place = `[${this.#number}/${this.#seconds.length}] ${this.#scenario}`;
    this.#write(`${place}: ${text} (${durationOf(this.#left)} left at most)`);
  }
}

/** `45 s`, `3 min 20 s`. */
export function durationOf(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
