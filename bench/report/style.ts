/** A class for each look of a way (`palette.ts`). */
const WAYS = ["ours", "direct", "other-1", "other-2", "other-3", "other-4", "other-5", "other-6", "other-7"];

/** How the page looks. Colours of ways are those of Okabe and Ito, which differ for every kind of colour vision. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fff; --panel: #f6f8fa; --ink: #1c2128; --soft: #57606a; --hair: #d8dee4; --link: #0a58a6;
  --good: #0b6e4f; --good-back: #e3f4ec; --bad: #b3261e; --bad-back: #fdeceb;
  --ours: #0072b2; --direct: #6e7781; --us-back: #eaf4fb;
  --other-1: #d55e00; --other-2: #009e73; --other-3: #b8548c; --other-4: #c98a00; --other-5: #3fa3dc;
  --other-6: #882255; --other-7: #7f7f1f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1419; --panel: #171d24; --ink: #e6edf3; --soft: #9aa6b2; --hair: #2d3640; --link: #79b8ff;
    --good: #5fd3a3; --good-back: #12312a; --bad: #ff8a80; --bad-back: #3a1a1a;
    --ours: #58a6ff; --direct: #9aa6b2; --us-back: #14263a;
    --other-1: #ff8c42; --other-2: #2fc79a; --other-3: #e08fbf; --other-4: #f0b93a; --other-5: #9be0ff;
    --other-6: #d873a5; --other-7: #c5c55a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 84rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { margin: 0; font-size: 2.1rem; line-height: 1.2; letter-spacing: -0.02em; }
h2 { margin: 0 0 .25rem; font-size: 1.35rem; line-height: 1.3; letter-spacing: -0.01em; }
h3 { margin: 1.5rem 0 0; font-size: 1rem; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 2px; }
section { margin-top: 3rem; scroll-margin-top: 1rem; }
.lead { margin: .4rem 0 0; max-width: 62ch; color: var(--soft); font-size: 1.05rem; }
.note { margin: 0 0 .5rem; max-width: 80ch; color: var(--soft); font-size: .875rem; }
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem 1.5rem;
  margin: 1.5rem 0 0; padding: 1rem 1.25rem; background: var(--panel); border-radius: .6rem;
}
.facts dt { color: var(--soft); font-size: .78rem; letter-spacing: .04em; text-transform: uppercase; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
nav { margin-top: 1.5rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0; padding: 0; list-style: none; }
nav a {
  display: block; padding: .15rem .65rem; border: 1px solid var(--hair); border-radius: 1rem; color: var(--ink);
  font-size: .85rem; text-decoration: none;
}
nav a:hover { border-color: var(--link); color: var(--link); }
.tally { display: flex; flex-wrap: wrap; gap: .5rem; margin: .5rem 0 1rem; }
.pill { padding: .15rem .75rem; border-radius: 1rem; background: var(--panel); font-weight: 600; }
.pill.good { background: var(--good-back); }
.pill.bad { background: var(--bad-back); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.none { color: var(--soft); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td {
  padding: .45rem .7rem; border-bottom: 1px solid var(--hair);
  text-align: right; vertical-align: top; white-space: nowrap;
}
th:first-child, td:first-child { text-align: left; }
thead th { white-space: normal; color: var(--soft); font-size: .78rem; font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
small { display: block; color: var(--soft); font-size: .75rem; font-weight: 400; line-height: 1.3; }
.us { background: var(--us-back); }
.us th, .us td { font-weight: 650; }
.ratio { font-weight: 650; }
table.goals td, table.goals th { text-align: left; vertical-align: middle; }
table.goals td:nth-child(3), table.goals th:nth-child(3) { text-align: right; }
.few { width: auto; }
.many { font-size: .8rem; }
.many th, .many td { padding: .45rem .4rem; }
.many small { font-size: .7rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.legend {
  display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .8rem 0 0; padding: 0;
  font-size: .875rem; list-style: none;
}
.plots {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.25rem;
  margin: .8rem 0 1.25rem;
}
.tall { grid-row: span 2; }
.plot { margin: 0; padding: 1rem 1rem .75rem; background: var(--panel); border-radius: .6rem; }
.plot svg { display: block; width: 100%; max-width: 46rem; height: auto; margin-top: .5rem; overflow: visible; }
figcaption { font-size: .95rem; line-height: 1.35; }
figcaption span { display: block; color: var(--soft); font-size: .8rem; }
svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg text.name, svg text.value { fill: var(--ink); font-size: 13px; }
svg text.value { font-weight: 600; }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
.swatch { width: 30px; height: 12px; vertical-align: -1px; margin-right: .25rem; }
.gauge { display: block; width: 120px; height: 14px; }
.gauge .track { fill: var(--hair); }
.gauge .full { fill: currentColor; }
.gauge .limit { stroke: var(--ink); stroke-width: 2; }
.grid { fill: none; stroke: var(--hair); stroke-width: 1; }
.even { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.better { fill: var(--good-back); }
.line { fill: none; stroke: var(--way); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.ours { stroke-width: 3; }
.mark { fill: var(--way); stroke: var(--panel); stroke-width: 1; }
.bar { fill: var(--way); }
.whisker { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.range { fill: none; stroke: var(--way); stroke-width: 3; stroke-linecap: round; opacity: .35; }
footer {
  margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--hair);
  color: var(--soft); font-size: .875rem;
}
footer p { max-width: 80ch; margin: .4rem 0; }
${WAYS.map((way) => `.${way} { --way: var(--${way}); }`).join("\n")}
@media (max-width: 40rem) { svg text, svg text.name, svg text.value { font-size: 15px; } }
@media print { body { max-width: none; padding: 0; } section { break-inside: avoid-page; } nav { display: none; } }
`;
