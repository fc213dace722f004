import type { FigureName, Round, Spread } from "../figures.ts";

/** One run of `npm run bench`, as it is kept in `bench/results`. */
export interface RunReport {
  readonly version: 2;
  /** ISO 8601. */
  readonly date: string;
  readonly machine: {
    readonly cores: number;
    readonly model: string;
    readonly memoryMiB: number;
    readonly kernel: string;
    readonly node: string;
    /** Whether proxies and load had a core each. */
    readonly pinned: boolean;
  };
  /** The commit that was measured, with `+` if there were changes on top; undefined outside of a repository. */
  readonly commit: string | undefined;
  readonly options: {
    /** At least. */
    readonly rounds: number;
    /** Undefined in older results: no more than these. */
    readonly roundsAtMost?: number;
    readonly seconds: number;
    readonly warmUpSeconds: number;
  };
  /** Proxies that were asked for and are not on this machine. */
  readonly absent: readonly { readonly name: string; readonly reason: string }[];
  readonly scenarios: readonly ScenarioReport[];
}

export interface ScenarioReport {
  readonly name: string;
  readonly title: string;
  /** What the scenario is about: it comes first, and the ratio of it counts. */
  readonly subject: FigureName;
  readonly ways: readonly WayReport[];
}

/** One way to the application: direct, through ourselves, through a peer, or through a variant of ourselves. */
export interface WayReport {
  readonly name: string;
  readonly rounds: readonly Round[];
  readonly figures: Readonly<Partial<Record<FigureName, Spread>>>;
  /** Ours to this one's, of the rounds of the same number. None for `direct` and ourselves. */
  readonly ratios: Readonly<Partial<Record<FigureName, Spread>>>;
}
