// Package chart draws plots as SVG that stands inline in a page: axes with units and
// round ticks, lines, steps, areas, points with intervals, and rows of bars. Colours come
// from the page's style (Style), so that one picture serves light, dark and paper; lines
// differ in their dashes, too, and everything is named in text.
//
// What is drawn is bounded by what is handed in, and every text is escaped. A value that
// is no number is left out.
package chart
