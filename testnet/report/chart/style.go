package chart

// Style is the part of a page's style sheet that the pictures need. Colours are of Okabe
// and Ito 2008 ("Color universal design"), which people with any kind of colour vision
// tell apart; in the dark they are lighter, and on paper as in the light. The page defines
// --ink, --faint, --grid and --paper for both.
const Style = `
:root{--c0:#0072b2;--c1:#c74e00;--c2:#008060;--c3:#a8508a;--c4:#8a6d00;--c5:#3c3c46}
@media screen and (prefers-color-scheme:dark){:root{--c0:#5ab8f0;--c1:#ff9a5c;--c2:#3fd0a4;--c3:#eda6d2;--c4:#f0d060;--c5:#d5d5de}}
.chart{display:block;width:100%;height:auto;overflow:visible;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;fill:var(--ink)}
.chart .grid{stroke:var(--grid);stroke-width:1}
.chart .axis{stroke:var(--faint);stroke-width:1}
.chart .rule{stroke:var(--faint);stroke-width:1;stroke-dasharray:2 3}
.chart .tick,.chart .label,.chart .small{fill:var(--soft)}
.chart .small{font-size:10px}
.chart .value,.chart .tick{font-variant-numeric:tabular-nums}
.chart .band{fill:var(--ink);fill-opacity:.1}
.chart .band.faint{fill-opacity:.045}
.chart .event{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 2;stroke-opacity:.6}
.chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.chart .whisker{fill:none;stroke-width:1.6}
.chart .mark{stroke:var(--paper);stroke-width:.8}
.chart .area{fill-opacity:.25}
.chart .bar{stroke:var(--paper);stroke-width:.6}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.line.s1{stroke-dasharray:7 3}.line.s2{stroke-dasharray:2.5 2.5}.line.s3{stroke-dasharray:9 3 2 3}.line.s4{stroke-dasharray:1.5 3}.line.s5{stroke-dasharray:12 4}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
.key{list-style:none;margin:.3em 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.1em 1.1em;font-size:.82rem;color:var(--soft)}
.key li{display:flex;align-items:center;gap:.4em}
.chart.sample{width:26px;height:12px;flex:none}
`
