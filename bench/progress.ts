/** Says what goes on and how long it will take, one line for each step. */
export class Progress {
  readonly #write: (line: string) => void;
  readonly #scenarios: number;
  #left: number;
  #scenario = "";
  #number = 0;
  #stepSeconds = 0;

  /** @param seconds estimated for everything. */
  constructor(scenarios: number, seconds: number, write: (line: string) => void) {
    this.#scenarios = scenarios;
    this.#left = seconds;
    this.#write = write;
  }

  scenario(name: string): void {
    this.#scenario = name;
    this.#number++;
  }

  /** @param seconds that the step takes. */
  step(text: string, seconds: number): void {
    this.#left = Math.max(0, this.#left - this.#stepSeconds);
    this.#stepSeconds = seconds;
    const place = `[${this.#number}/${this.#scenarios}] ${this.#scenario}`;
    this.#write(`${place}: ${text} (about ${durationOf(this.#left)} left)`);
  }
}

/** `45 s`, `3 min 20 s`. */
export function durationOf(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
