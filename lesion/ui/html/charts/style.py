"""What all charts look like."""

STYLE = """
.chart { max-width: 60rem; font-size: var(--text-md); line-height: 1.35; }
.chart svg { display: block; width: 100%; max-width: 34rem; height: auto; overflow: visible; }
.chart text { font-size: 16px; fill: currentColor; font-variant-numeric: tabular-nums; }
.chart text.strong { font-weight: 700; }
.chart .grid { stroke: currentColor; stroke-width: 1; opacity: .2; }
.chart .axis { stroke: currentColor; stroke-width: 1.5; opacity: .75; }
.chart .guide { stroke: currentColor; stroke-width: 1.5; stroke-dasharray: 5 4; opacity: .8; fill: none; }
.chart .curve { fill: none; stroke-width: 3.2; stroke-linejoin: round; }
.chart .curve.thin { stroke-width: 1.3; }
.chart p, .chart ul { margin: .4rem 0 0; padding: 0; font-size: 1em; line-height: 1.4; }
.chart ul, .chart li { list-style: none; }
.chart li { margin: 0; padding: 0; }
.chart .panels { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.chart p.heading { margin: 0; font-weight: 700; }
.chart table { width: 100%; margin: 0; border: 0; border-collapse: collapse; table-layout: fixed; background: none;
  color: inherit; font-size: 1em; }
.chart caption { padding: 0 0 .3rem; color: inherit; font-weight: 700; text-align: left; }
.chart tr { border: 0; background: none; }
.chart th, .chart td { padding: .25rem .35rem; border: 0; color: inherit; font-size: 1em; font-weight: 400;
  line-height: 1.3; text-align: left; vertical-align: middle; overflow-wrap: break-word; hyphens: auto; }
.chart tbody tr { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.chart thead th { font-weight: 600; vertical-align: bottom; }
.chart b, .chart .top { color: inherit; font-weight: 700; }
.chart .value { font-variant-numeric: tabular-nums; white-space: nowrap; }
.chart .track { position: relative; display: block; height: .8rem; margin: .1rem 0;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.chart .track > span { position: absolute; top: 0; bottom: 0; }
.chart .track .bar { min-width: 2px; }
.chart .track .plain { background: color-mix(in srgb, currentColor 40%, transparent); }
.chart .track .line { top: calc(50% - 1.5px); bottom: auto; height: 3px; background: currentColor; }
.chart .track .zero { width: 2px; margin-left: -1px; background: currentColor; opacity: .6; }
.chart .track .dot { width: .8rem; margin-left: -.4rem; border-radius: 50%; background: currentColor; }
.chart .row { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .6rem; margin-top: .45rem; }
@media (max-width: 500px) {
  .chart { font-size: var(--text-sm); }
  .chart text { font-size: 17.5px; }
  .chart th, .chart td { padding: .25rem .15rem; }
}
"""
"""Gradio puts its own class before each selector and cuts at every comma: no commas inside :is()."""
